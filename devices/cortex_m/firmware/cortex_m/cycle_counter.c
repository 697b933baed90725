#include "cycle_counter.h"

#include "registers.h"

#if __ARM_ARCH >= 7
/* Instructions enough for any real counter to move. */
#define PROBE_LOOPS 16

int cycle_counter_start(void)
{
    DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1u;    /* CYCCNTENA */
    const uint32_t before = DWT_CYCCNT;
    for (volatile int i = 0; i < PROBE_LOOPS; i = i + 1) {
    }
    return DWT_CYCCNT != before;
}

uint32_t cycle_counter(void)
{
    return DWT_CYCCNT;
}
#else
int cycle_counter_start(void)
{
    return 0;
}

uint32_t cycle_counter(void)
{
    return 0;
}
#endif
