/* Where the chip goes on a fault, and where a port sends its watchdog's interrupt. */
#ifndef CORTEX_M_FAULT_VECTOR_H
#define CORTEX_M_FAULT_VECTOR_H

/* Ends in a FAULT frame and a reset. Reached by NMI or an interrupt of the port it means the watchdog. */
void fault_vector(void);

/* Where a port should send its watchdog's interrupt: an inference that works (watch.h) goes on, all else is
 * fault_vector's. */
void watchdog_vector(void);

/* The NMI. The same as fault_vector, unless a port has its own: one whose watchdog rings more than once. */
void nmi_vector(void);

#endif
