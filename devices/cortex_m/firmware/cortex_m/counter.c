#include "counter.h"

#include "registers.h"

#if __ARM_ARCH >= 7
/* Instructions enough for any real counter to move. */
#define PROBE_LOOPS 16

int cycle_counter_start(void) {
    DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1u;    /* CYCCNTENA */
    const uint32_t before = DWT_CYCCNT;
    for (volatile int i = 0; i < PROBE_LOOPS; i = i + 1) {
    }
    return DWT_CYCCNT != before;
}

uint32_t cycle_counter(void) {
    return DWT_CYCCNT;
}
#else
int cycle_counter_start(void) {
    return 0;
}

uint32_t cycle_counter(void) {
    return 0;
}
#endif

void wide_counter_start(wide_counter *counter, uint32_t fine, uint32_t coarse) {
    counter->coarse_last = coarse;
    counter->coarse_high = 0;
    /* From here on fine - fine_offset is the low half of coarse << coarse_shift, as far as the coarse one can tell. */
    counter->fine_offset = fine - (coarse << counter->coarse_shift);
}

uint64_t wide_counter_read(wide_counter *counter, uint32_t fine, uint32_t coarse) {
    if (coarse < counter->coarse_last) counter->coarse_high++;
    counter->coarse_last = coarse;
    const uint64_t about = (((uint64_t)counter->coarse_high << 32) | coarse) << counter->coarse_shift;
    const int32_t correction = (int32_t)(fine - counter->fine_offset - (uint32_t)about);
    return about + (uint64_t)(int64_t)correction;
}
