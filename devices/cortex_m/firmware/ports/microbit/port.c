/* QEMU's BBC micro:bit (nRF51822, Cortex-M0). The model lies in flash, written through the NVMC; the line is the UART
 * behind the interface chip's USB port; TIMER0 (32 bits, 16 MHz) is the time, TIMER1, 256 times slower, counts its
 * rounds, TIMER2 is the watchdog. On the real chip TIMER1 and TIMER2 have 16 bits: there, take the RTC for both. nRF51
 * Series Reference Manual 3.0. */
#include "../../port.h"

#include "../../cortex_m/fault_vector.h"
#include "../../cortex_m/layout.h"
#include "../../cortex_m/registers.h"
#include "../../cortex_m/startup.h"
#include "../../ring.h"
#include "../../wide_counter.h"

#define TIMER_HZ 16000000u
#define SAMPLE_BYTES LINKED_NUMBER(__sample_bytes)

typedef struct {
    volatile uint32_t start_rx, stop_rx, start_tx, stop_tx;
    uint32_t unused0[0x3E];
    volatile uint32_t rx_ready; /* 0x108 */
    uint32_t unused1[4];
    volatile uint32_t tx_ready; /* 0x11C */
    uint32_t unused2[0x79];
    volatile uint32_t interrupt_set; /* 0x304 */
    volatile uint32_t interrupt_clear;
    uint32_t unused3[0x7D];
    volatile uint32_t enable; /* 0x500 */
    uint32_t unused4;
    volatile uint32_t pin_rts, pin_tx, pin_cts, pin_rx, rx_data, tx_data; /* 0x508 */
    uint32_t unused5;
    volatile uint32_t baud; /* 0x524 */
} nrf_uart;

typedef struct {
    volatile uint32_t start, stop, count, clear, shutdown;
    uint32_t unused0[0xB];
    volatile uint32_t capture[4]; /* 0x40 */
    uint32_t unused1[0x3C];
    volatile uint32_t compared[4]; /* 0x140 */
    uint32_t unused2[0x6D];
    volatile uint32_t interrupt_set; /* 0x304 */
    volatile uint32_t interrupt_clear;
    uint32_t unused3[0x7E];
    volatile uint32_t mode, bits; /* 0x504 */
    uint32_t unused4;
    volatile uint32_t prescaler; /* 0x510 */
    uint32_t unused5[0xB];
    volatile uint32_t compare[4]; /* 0x540 */
} nrf_timer;

_Static_assert(__builtin_offsetof(nrf_uart, baud) == 0x524, "UART registers");
_Static_assert(__builtin_offsetof(nrf_uart, enable) == 0x500, "UART registers");
_Static_assert(__builtin_offsetof(nrf_timer, compare) == 0x540, "TIMER registers");
_Static_assert(__builtin_offsetof(nrf_timer, interrupt_set) == 0x304, "TIMER registers");

#define UART ((nrf_uart *)0x40002000u)
#define UART_INTERRUPT 2u
#define TIMER0 ((nrf_timer *)0x40008000u)
#define TIMER1 ((nrf_timer *)0x40009000u)
#define TIMER2 ((nrf_timer *)0x4000A000u)
#define TIMER2_INTERRUPT 10u

#define NVMC_READY REGISTER(0x4001E400u)
#define NVMC_CONFIG REGISTER(0x4001E504u)
#define NVMC_ERASEPAGE REGISTER(0x4001E508u)
enum { NVMC_READ = 0, NVMC_WRITE = 1, NVMC_ERASE = 2 };
#define PAGE_BYTES 1024u

enum { BITS_16 = 0, BITS_32 = 3 };

static byte_ring received;
static wide_counter counter = {.coarse_shift = 8};

static void uart_interrupt(void)
{
    while (UART->rx_ready) {
        UART->rx_ready = 0; /* before the byte is taken: taking it may bring the next one */
        ring_put(&received, (uint8_t)UART->rx_data);
    }
}

PORT_VECTORS = {[UART_INTERRUPT] = {uart_interrupt}, [TIMER2_INTERRUPT] = {watchdog_vector}};

static void timer_start(nrf_timer *timer, uint32_t bits, uint32_t prescaler)
{
    timer->stop = 1;
    timer->mode = 0;
    timer->bits = bits;
    timer->prescaler = prescaler;
    timer->clear = 1;
    timer->start = 1;
}

/* Bytes that come while the receiver is off put QEMU's end of the line to sleep, and unlike other UARTs this one cannot
 * wake it. Any timer that runs over does: TIMER2, while it is no watchdog, 8 times a second and without an interrupt.
 */
static void keep_awake(void)
{
    TIMER2->compare[0] = 0;
    timer_start(TIMER2, BITS_16, 5);
}

static uint32_t timer_now(nrf_timer *timer)
{
    timer->capture[0] = 1;
    return timer->compare[0];
}

static void uart_start(void)
{
    UART->pin_tx = 24;
    UART->pin_rx = 25;
    UART->pin_rts = UART->pin_cts = 0xFFFFFFFFu;
    UART->baud = 0x01D7E000u; /* 115200 */
    UART->enable = 4;
    UART->start_tx = 1;
    UART->rx_ready =
        0; /* not after the start: six bytes may have come by then, and none after them until they are taken */
    UART->interrupt_set = 1u << 2;
    interrupt_enable(UART_INTERRUPT);
    UART->start_rx = 1;
    keep_awake();
}

const port_facts *port_init(void)
{
    static port_facts facts = {
        .board = FW_BOARD, .core = FW_CORE, .clock_hz = TIMER_HZ, .tick_hz = TIMER_HZ, .tick_unit = 1};
    facts.sample_bytes = SAMPLE_BYTES;
    facts.model = __model_start;
    facts.model_bytes = (uint32_t)(__model_end - __model_start);
    facts.samples = __ram_free;
    facts.arena = __ram_free + SAMPLE_BYTES;
    facts.arena_bytes = (uint32_t)(__ram_end - __ram_free) - SAMPLE_BYTES;
    timer_start(TIMER0, BITS_32, 0);
    timer_start(TIMER1, BITS_32, 8);
    wide_counter_start(&counter, timer_now(TIMER0), timer_now(TIMER1));
    uart_start();
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
    for (uint32_t i = 0; i < count; i++) {
        UART->tx_ready = 0;
        UART->tx_data = data[i];
        while (!UART->tx_ready) {
        }
    }
}

uint64_t port_ticks(void)
{
    return wide_counter_read(&counter, timer_now(TIMER0), timer_now(TIMER1));
}

void port_reset(void)
{
    system_reset();
}

static void nvmc(uint32_t mode)
{
    while (!(NVMC_READY & 1u)) {
    }
    NVMC_CONFIG = mode;
}

int port_store_erase(uint32_t bytes)
{
    nvmc(NVMC_ERASE);
    for (uint32_t offset = 0; offset < bytes; offset += PAGE_BYTES) {
        NVMC_ERASEPAGE = (uint32_t)__model_start + offset;
        while (!(NVMC_READY & 1u)) {
        }
    }
    nvmc(NVMC_READ);
    return 1;
}

/* Flash takes whole words; a word in two pieces is written twice, the bits of the other piece left alone. */
int port_store_write(uint32_t offset, const uint8_t *data, uint32_t count)
{
    nvmc(NVMC_WRITE);
    for (uint32_t i = 0; i < count;) {
        volatile uint32_t *word = (volatile uint32_t *)(uintptr_t)(__model_start + ((offset + i) & ~3u));
        uint32_t value = 0xFFFFFFFFu;
        for (uint32_t byte = (offset + i) & 3u; byte < 4u && i < count; byte++, i++)
            value &= ~(0xFFu << (8u * byte)) | ((uint32_t)data[i] << (8u * byte));
        *word = value;
        while (!(NVMC_READY & 1u)) {
        }
    }
    nvmc(NVMC_READ);
    return 1;
}

int port_watchdog(uint32_t ms)
{
    interrupt_disable(TIMER2_INTERRUPT);
    TIMER2->stop = 1;
    TIMER2->interrupt_clear = 1u << 16;
    if (ms == 0) {
        keep_awake();
        return 1;
    }
    const uint64_t ticks = (uint64_t)ms * (TIMER_HZ >> 8) / 1000u;
    /* Before the timer starts, or a count that begins at the old value of 0 would have been reached at once; and in 32
     * bits, which are 19 hours: a longer deadline ends then. */
    TIMER2->bits = 3;
    TIMER2->compare[0] = ticks > 0xFFFFFFFFu ? 0xFFFFFFFFu : (uint32_t)ticks;
    TIMER2->compared[0] = 0;
    timer_start(TIMER2, BITS_32, 8);
    TIMER2->interrupt_set = 1u << 16;
    interrupt_enable(TIMER2_INTERRUPT);
    return 1;
}

void port_quiet(int on)
{
    if (on)
        interrupt_disable(UART_INTERRUPT);
    else
        interrupt_enable(UART_INTERRUPT);
}
