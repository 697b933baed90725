#include "wide_counter.h"

void wide_counter_start(wide_counter *counter, uint32_t fine, uint32_t coarse)
{
    counter->coarse_last = coarse;
    counter->coarse_high = 0;
    /* From here on fine - fine_offset is the low half of coarse << coarse_shift, as far as the coarse one can tell. */
    counter->fine_offset = fine - (coarse << counter->coarse_shift);
}

uint64_t wide_counter_read(wide_counter *counter, uint32_t fine, uint32_t coarse)
{
    if (coarse < counter->coarse_last)
        counter->coarse_high++;
    counter->coarse_last = coarse;
    const uint64_t about = (((uint64_t)counter->coarse_high << 32) | coarse) << counter->coarse_shift;
    const int32_t correction = (int32_t)(fine - counter->fine_offset - (uint32_t)about);
    return about + (uint64_t)(int64_t)correction;
}
