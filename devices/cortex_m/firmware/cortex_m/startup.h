/* The vector table's entries. A port's interrupts stand right behind the system's sixteen:
 *
 *     PORT_VECTORS = {[6] = {uart_interrupt}};
 */
#ifndef CORTEX_M_STARTUP_H
#define CORTEX_M_STARTUP_H

#include <stdint.h>

typedef union {
    void (*function)(void);
    const void *stack;
} vector;

#define PORT_VECTORS __attribute__((section(".vectors.port"), used)) static const vector port_vectors[]

#endif
