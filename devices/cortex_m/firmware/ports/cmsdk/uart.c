#include "uart.h"

enum { TX_FULL = 1u, RX_FULL = 2u };                        /* state */
enum { TX_ENABLE = 1u, RX_ENABLE = 2u, RX_INTERRUPT = 8u }; /* control */
enum { RX_PENDING = 2u };                                   /* interrupt, cleared by writing it */

void cmsdk_uart_start(cmsdk_uart *uart, uint32_t clock_hz, uint32_t baud)
{
    uart->divider = (clock_hz + baud / 2u) / baud;
    uart->control = TX_ENABLE | RX_ENABLE | RX_INTERRUPT;
    uart->interrupt = RX_PENDING;
    /* A byte that came while the receiver was off lies in the register without an interrupt (in QEMU it also stops the
     * line for good): reading it away wakes the line. Last of all: a byte that came before the line above has no
     * interrupt either. */
    (void)uart->data;
}

void cmsdk_uart_receive(cmsdk_uart *uart, byte_ring *ring)
{
    /* Cleared first: a byte that comes during the loop makes an interrupt of its own. */
    uart->interrupt = RX_PENDING;
    while (uart->state & RX_FULL)
        ring_put(ring, (uint8_t)uart->data);
}

void cmsdk_uart_write(cmsdk_uart *uart, const uint8_t *data, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (uart->state & TX_FULL) {
        }
        uart->data = data[i];
    }
}
