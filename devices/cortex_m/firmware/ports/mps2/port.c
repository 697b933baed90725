/* Arm MPS2 with the AN385 (M3), AN386 (M4) or AN500 (M7) image, real or QEMU's. UART0 is the line. Time is the core's
 * cycle counter where it runs, else CMSDK timer 0; the dual timer, 256 times slower, counts its rounds without an
 * interrupt. The watchdog ends in an NMI. Arm DAI 0385D, 0386D, 0400C (memory maps), DDI 0479 (peripherals). */
#include "../../port.h"

#include "../../cortex_m/cycle_counter.h"
#include "../../cortex_m/layout.h"
#include "../../cortex_m/registers.h"
#include "../../cortex_m/startup.h"
#include "../../wide_counter.h"
#include "../cmsdk/timers.h"
#include "../cmsdk/uart.h"

#define CLOCK_HZ 25000000u
#define BAUD 921600u

#define UART ((cmsdk_uart *)0x40004000u)
#define UART_RX_INTERRUPT 0u
#define TIMER ((cmsdk_timer *)0x40000000u)
#define DUAL_TIMER ((cmsdk_dual_timer *)0x40002000u)
#define WATCHDOG ((cmsdk_watchdog *)0x40008000u)

/* 16 MB, where the image has them. */
#ifndef MPS2_PSRAM
#define MPS2_PSRAM 0x21000000u
#endif

static byte_ring received;
static int cycles;
static wide_counter counter = {.coarse_shift = CMSDK_DUAL_TIMER_SHIFT};

static void uart_interrupt(void)
{
    cmsdk_uart_receive(UART, &received);
}

PORT_VECTORS = {[UART_RX_INTERRUPT] = {uart_interrupt}};

static uint32_t fine(void)
{
    return cycles ? cycle_counter() : ~TIMER->value;
}

static uint32_t coarse(void)
{
    return ~DUAL_TIMER->value;
}

const port_facts *port_init(void)
{
    static port_facts facts = {.board = FW_BOARD,
                               .core = FW_CORE,
                               .clock_hz = CLOCK_HZ,
                               .tick_hz = CLOCK_HZ,
                               .model = (uint8_t *)MPS2_PSRAM,
                               .model_bytes = LINKED_NUMBER(__model_bytes),
                               .samples = __model_bytes + MPS2_PSRAM,
                               .sample_bytes = LINKED_NUMBER(__sample_bytes)};
    facts.arena = __ram_free;
    facts.arena_bytes = (uint32_t)(__ram_end - __ram_free);
    cycles = cycle_counter_start();
    facts.tick_unit = cycles ? 2 : 1;
    cmsdk_timer_start(TIMER);
    cmsdk_dual_timer_start(DUAL_TIMER);
    wide_counter_start(&counter, fine(), coarse());
    cmsdk_uart_start(UART, CLOCK_HZ, BAUD);
    interrupt_enable(UART_RX_INTERRUPT);
    return &facts;
}

int port_read(void)
{
    const int byte = ring_get(&received);
    if (byte < 0)
        SLEEP_UNLESS(!ring_empty(&received));
    return byte;
}

void port_write(const uint8_t *data, uint32_t count)
{
    cmsdk_uart_write(UART, data, count);
}

uint64_t port_ticks(void)
{
    return wide_counter_read(&counter, fine(), coarse());
}

void port_reset(void)
{
    system_reset();
}

int port_watchdog(uint32_t ms)
{
    cmsdk_watchdog_arm(WATCHDOG, (uint64_t)ms * (CLOCK_HZ / 1000u));
    return 1;
}

void port_quiet(int on)
{
    if (on)
        interrupt_disable(UART_RX_INTERRUPT);
    else
        interrupt_enable(UART_RX_INTERRUPT);
}
