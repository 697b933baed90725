/* QEMU's Arm MPS3 with the AN547 image (Cortex-M55), in its secure state. UART0 is the line. Time is the core's cycle
 * counter where it runs, else the SSE-300's system counter, which has 64 bits. The watchdog of the slow clock ends in
 * an NMI. Not tried on a real board: see COUNTER_HZ. Arm DAI 0547B (memory map), 101773 (SSE-300). */
#include "../../port.h"

#include "../../cortex_m/cycle_counter.h"
#include "../../cortex_m/layout.h"
#include "../../cortex_m/registers.h"
#include "../../cortex_m/startup.h"
#include "../../wide_counter.h"
#include "../cmsdk/timers.h"
#include "../cmsdk/uart.h"

#define CLOCK_HZ 32000000u
#define PERIPHERAL_HZ 25000000u
#define SLOW_HZ 32000u
/* Of the system counter: in QEMU the core's own clock. Where a board's is another, COARSE_SHIFT and port_ticks have to
 * change. */
#define COUNTER_HZ CLOCK_HZ
#define BAUD 921600u

#define UART ((cmsdk_uart *)0x59303000u)
#define UART_RX_INTERRUPT 33u
#define WATCHDOG ((cmsdk_watchdog *)0x5802E000u)

#define COUNTER_CONTROL REGISTER(0x58100000u)
#define COUNTER_LOW REGISTER(0x58100008u)
#define COUNTER_HIGH REGISTER(0x5810000Cu)
/* The coarse counter is the system counter over 2^8: exactly as many times slower than the cycle counter, as
 * wide_counter wants it. */
#define COARSE_SHIFT 8u
_Static_assert(COUNTER_HZ == CLOCK_HZ,
               "the system counter and the cycle counter must have one clock: port_ticks takes either for the other");

/* Internal SRAM: 2 x 2 MB; faster is what is left of the DTCM. DDR4 holds what need not be fast. */
#define ARENA ((uint8_t *)0x31000000u)
#define DDR ((uint8_t *)0x70000000u)
#define SAMPLE_BYTES (16u << 20)

static byte_ring received;
static int cycles;
static wide_counter counter = {.coarse_shift = COARSE_SHIFT};

static void uart_interrupt(void)
{
    cmsdk_uart_receive(UART, &received);
}

PORT_VECTORS = {[UART_RX_INTERRUPT] = {uart_interrupt}};

static uint64_t system_counter(void)
{
    uint32_t high, low;
    do {
        high = COUNTER_HIGH;
        low = COUNTER_LOW;
    } while (high != COUNTER_HIGH);
    return ((uint64_t)high << 32) | low;
}

static uint32_t coarse(void)
{
    return (uint32_t)(system_counter() >> COARSE_SHIFT);
}

const port_facts *port_init(void)
{
    static port_facts facts = {.board = FW_BOARD,
                               .core = FW_CORE,
                               .clock_hz = CLOCK_HZ,
                               .tick_hz = CLOCK_HZ,
                               .model = DDR,
                               .arena = ARENA,
                               .sample_bytes = SAMPLE_BYTES};
    facts.model_bytes = LINKED_NUMBER(__model_bytes);
    facts.arena_bytes = LINKED_NUMBER(__arena_bytes);
    facts.samples = DDR + facts.model_bytes;
    facts.fast_arena = __ram_free;
    facts.fast_arena_bytes = (uint32_t)(__ram_end - __ram_free);
    cycles = cycle_counter_start();
    facts.tick_unit = cycles ? 2 : 1;
    COUNTER_CONTROL = 1u;
    wide_counter_start(&counter, cycle_counter(), coarse());
    cmsdk_uart_start(UART, PERIPHERAL_HZ, BAUD);
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
    return cycles ? wide_counter_read(&counter, cycle_counter(), coarse()) : system_counter();
}

void port_reset(void)
{
    system_reset();
}

int port_watchdog(uint32_t ms)
{
    cmsdk_watchdog_arm(WATCHDOG, (uint64_t)ms * (SLOW_HZ / 1000u));
    return 1;
}

void port_quiet(int on)
{
    if (on)
        interrupt_disable(UART_RX_INTERRUPT);
    else
        interrupt_enable(UART_RX_INTERRUPT);
}
