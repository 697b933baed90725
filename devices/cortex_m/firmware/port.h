/* What a board must give the firmware: one struct of facts and five functions. docs/guides/adding-an-mcu-board.md walks
 * through them. */
#ifndef CORTEX_M_PORT_H
#define CORTEX_M_PORT_H

#include <stdint.h>

/* Of board.toml's `defines`, 1 where what was written is there after a reset (flash): a model that the host announces
 * is looked for there before anything is erased, so that flash is not worn, and a model may come with the program. */
#ifndef FW_STORE_KEEPS
#define FW_STORE_KEEPS 0
#endif
/* The same for ports with a `fast_arena`. */
#ifndef FW_FAST_ARENA
#define FW_FAST_ARENA 0
#endif

typedef struct {
    const char *board; /* "mps2-an386" */
    const char *core;  /* "cortex-m4" */
    uint32_t clock_hz;
    uint32_t tick_hz;  /* of port_ticks */
    uint8_t tick_unit; /* 1 timer ticks, 2 core cycles */
    uint8_t *model;    /* where a model is kept; a multiple of 16 */
    uint32_t model_bytes;
    uint8_t *arena; /* a multiple of 16; the largest memory there is for tensors */
    uint32_t arena_bytes;
#if FW_FAST_ARENA
    uint8_t *fast_arena; /* a multiple of 16: faster memory, for models whose tensors fit there */
    uint32_t fast_arena_bytes;
#endif
    uint8_t *samples; /* may be NULL with 0 bytes */
    uint32_t sample_bytes;
} port_facts;

/* Clocks, the serial line with a receive interrupt that fills a ring buffer, the counter. Called once, before
 * everything else here. */
const port_facts *port_init(void);

/* The next received byte, or -1 when there is none; may sleep until an interrupt before it returns -1. */
int port_read(void);

/* Sends all bytes; returns when they are in the hardware's hands. Used from fault handlers too: it must work without
 * interrupts. */
void port_write(const uint8_t *data, uint32_t count);

/* A counter that never goes back, in units of tick_hz. */
uint64_t port_ticks(void);

/* Resets the chip. Does not return. */
void port_reset(void) __attribute__((noreturn));

/* ---- optional: weak defaults are in port_defaults.c ---------------------------------------------------------- */

/* Writes into the model's memory; the default is memcpy. A port whose model lies in flash erases and programs here.
 * `erase` is called once, with the size, before the first write. Return 1, or 0 when the storage refuses. */
int port_store_erase(uint32_t bytes);
int port_store_write(uint32_t offset, const uint8_t *data, uint32_t count);

/* Ends an inference that takes longer than `ms` (0: disarm) in a fault of the kind SP_FAULT_WATCHDOG: by an interrupt
 * that goes to watchdog_vector, which may arm it again from within. Returns 0 where the port has none. */
int port_watchdog(uint32_t ms);

/* 1 right before an inference is timed, 0 right after: a port whose line waits for it (flow control, an emulated UART)
 * holds back its receive interrupt, so that no count has foreign instructions in it. The default does nothing: the ring
 * buffer goes on filling. */
void port_quiet(int on);

#endif
