/* The cycle counter of the core's debug unit (DWT), where there is a real one. */
#ifndef CORTEX_M_CYCLE_COUNTER_H
#define CORTEX_M_CYCLE_COUNTER_H

#include <stdint.h>

/* Starts it; returns 1 if it really advances. Cores without one, and emulators that only pretend, give 0. */
int cycle_counter_start(void);
uint32_t cycle_counter(void);

#endif
