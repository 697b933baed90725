/* From float32 to the nearest integer. */
#ifndef KERNELS_ROUND_AWAY_H
#define KERNELS_ROUND_AWAY_H

#include <stdint.h>

/* Rounds half away from zero without the C library. |value| < 2^24. */
static inline int32_t kn_round_away(float value)
{
    const int32_t whole = (int32_t)value;
    const float rest = value - (float)whole; /* exact */
    if (rest >= 0.5f)
        return whole + 1;
    if (rest <= -0.5f)
        return whole - 1;
    return whole;
}

#endif
