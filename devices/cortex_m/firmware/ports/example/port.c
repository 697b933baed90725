/* An example: NUCLEO-F446RE, USART2 behind the ST-LINK's USB port at 115200 baud, the core at its 16 MHz after reset
 * (the internal oscillator, no flash wait states). The model lies in flash (flash.c), samples and arena in RAM. RM0390
 * (registers), UM1724 (pins). Compiled by the tests, run on no board. */
#include "port.h"

#include "cortex_m/cycle_counter.h"
#include "cortex_m/fault_vector.h"
#include "cortex_m/layout.h"
#include "cortex_m/registers.h"
#include "cortex_m/startup.h"
#include "flash.h"
#include "ring.h"
#include "wide_counter.h"

#define CLOCK_HZ 16000000u
#define BAUD 115200u
#define MODEL_FIRST_SECTOR 5u
#define MODEL_SECTOR_BYTES (128u * 1024u)

/* Clocks of the peripherals, and the pins PA2 and PA3 for USART2. */
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_AFRL REGISTER(0x40020020u)

#define USART2_SR REGISTER(0x40004400u)
#define USART2_DR REGISTER(0x40004404u)
#define USART2_BRR REGISTER(0x40004408u)
#define USART2_CR1 REGISTER(0x4000440Cu)
#define USART2_INTERRUPT 38u
enum { SR_ORE = 1u << 3, SR_RXNE = 1u << 5, SR_TC = 1u << 6, SR_TXE = 1u << 7 };

/* TIM2 has 32 bits; it counts every 256th clock and says how often the cycle counter went round. TIM5 is the watchdog.
 */
#define TIM2_CR1 REGISTER(0x40000000u)
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)
#define TIM5_CR1 REGISTER(0x40000C00u)
#define TIM5_DIER REGISTER(0x40000C0Cu)
#define TIM5_SR REGISTER(0x40000C10u)
#define TIM5_EGR REGISTER(0x40000C14u)
#define TIM5_CNT REGISTER(0x40000C24u)
#define TIM5_PSC REGISTER(0x40000C28u)
#define TIM5_ARR REGISTER(0x40000C2Cu)
#define TIM5_INTERRUPT 50u

static byte_ring received;
static wide_counter counter = {.coarse_shift = 8};

static void usart_interrupt(void)
{
    uint32_t status;
    /* An overrun interrupts too, with or without a byte, until the data register is read after the status
     * (RM0390, 25.6.1). */
    while ((status = USART2_SR) & (SR_RXNE | SR_ORE)) {
        const uint8_t byte = (uint8_t)USART2_DR;
        if (status & SR_RXNE)
            ring_put(&received, byte);
    }
}

/* The watchdog's interrupt: an inference that works goes on, a hang goes where faults go. */
PORT_VECTORS = {[USART2_INTERRUPT] = {usart_interrupt}, [TIM5_INTERRUPT] = {watchdog_vector}};

static void usart_start(void)
{
    GPIOA_MODER = (GPIOA_MODER & ~0xF0u) | 0xA0u;
    GPIOA_AFRL = (GPIOA_AFRL & ~0xFF00u) | 0x7700u;
    USART2_BRR = (CLOCK_HZ + BAUD / 2u) / BAUD;
    USART2_CR1 = 1u << 13 | 1u << 5 | 1u << 3 | 1u << 2; /* on, receive interrupt, transmitter, receiver */
    interrupt_enable(USART2_INTERRUPT);
}

const port_facts *port_init(void)
{
    static port_facts facts = {
        .board = FW_BOARD, .core = FW_CORE, .clock_hz = CLOCK_HZ, .tick_hz = CLOCK_HZ, .tick_unit = 2};
    facts.model = __model_start;
    facts.model_bytes = (uint32_t)(__model_end - __model_start);
    /* What the linker left over. */
    facts.samples = __ram_free;
    facts.sample_bytes = LINKED_NUMBER(__sample_bytes);
    facts.arena = facts.samples + facts.sample_bytes;
    facts.arena_bytes = (uint32_t)(__ram_end - facts.arena);
    RCC_AHB1ENR |= 1u;
    RCC_APB1ENR |= 1u << 0 | 1u << 3 | 1u << 17;
    TIM2_PSC = 255;
    TIM2_EGR = 1;
    TIM2_CR1 = 1;
    cycle_counter_start();
    wide_counter_start(&counter, cycle_counter(), TIM2_CNT);
    usart_start();
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
        while (!(USART2_SR & SR_TXE)) {
        }
        USART2_DR = data[i];
    }
}

uint64_t port_ticks(void)
{
    return wide_counter_read(&counter, cycle_counter(), TIM2_CNT);
}

void port_reset(void)
{
    while (!(USART2_SR & SR_TC)) { /* the last byte leaves first */
    }
    system_reset();
}

/* ---- optional ------------------------------------------------------------------------------------------------- */

/* A sector takes up to two seconds, in which the core waits for its flash; the host waits for the answer. */
int port_store_erase(uint32_t bytes)
{
    const uint32_t sectors = (bytes + MODEL_SECTOR_BYTES - 1u) / MODEL_SECTOR_BYTES;
    for (uint32_t i = 0; i < sectors; i++)
        if (!flash_erase_sector(MODEL_FIRST_SECTOR + i))
            return 0;
    return 1;
}

int port_store_write(uint32_t offset, const uint8_t *data, uint32_t count)
{
    return flash_write(__model_start + offset, data, count);
}

int port_watchdog(uint32_t ms)
{
    TIM5_CR1 = 0;
    TIM5_SR = 0;
    if (ms == 0)
        return 1;
    TIM5_PSC = CLOCK_HZ / 1000u - 1u; /* one count a millisecond */
    TIM5_ARR = ms;
    TIM5_CNT = 0;
    TIM5_EGR = 1;
    TIM5_SR = 0;
    TIM5_DIER = 1;
    TIM5_CR1 = 1;
    interrupt_enable(TIM5_INTERRUPT);
    return 1;
}
