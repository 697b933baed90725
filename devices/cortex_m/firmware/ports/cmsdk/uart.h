/* The UART of Arm's CMSDK (Arm DDI 0479, chapter 4), as on MPS2 and MPS3 boards and in QEMU. */
#ifndef CMSDK_UART_H
#define CMSDK_UART_H

#include <stdint.h>

#include "../../ring.h"

typedef struct {
    volatile uint32_t data, state, control, interrupt, divider;
} cmsdk_uart;

void cmsdk_uart_start(cmsdk_uart *uart, uint32_t clock_hz, uint32_t baud);

/* From the receive interrupt: moves what there is into the ring. */
void cmsdk_uart_receive(cmsdk_uart *uart, byte_ring *ring);

/* Waits for the line, not for interrupts. */
void cmsdk_uart_write(cmsdk_uart *uart, const uint8_t *data, uint32_t count);

#endif
