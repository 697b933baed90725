/* Time without interrupts: 64 bits out of two counters of 32. */
#ifndef FIRMWARE_WIDE_COUNTER_H
#define FIRMWARE_WIDE_COUNTER_H

#include <stdint.h>

/* A fine counter of 32 bits and a coarse one, 2^coarse_shift times slower, that says how often the fine one went round.
 */
typedef struct {
    uint32_t coarse_shift;
    uint32_t coarse_last, coarse_high; /* the coarse one is widened by being read at least once in a round of its own */
    uint32_t fine_offset;
} wide_counter;

/* Both counters at one moment. */
void wide_counter_start(wide_counter *counter, uint32_t fine, uint32_t coarse);

/* Units of the fine counter since the start. Exact while the two drift apart by less than half a round of the fine one.
 */
uint64_t wide_counter_read(wide_counter *counter, uint32_t fine, uint32_t coarse);

#endif
