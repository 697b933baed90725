/* 1 / (1 + x) in fixed point, after gemmlowp's published definition; for SOFTMAX and DIV. A Qm.n number is an int32
 * with m integer and n fraction bits (m + n = 31). */
#ifndef KERNELS_RECIPROCAL_H
#define KERNELS_RECIPROCAL_H

#include "requantize.h"

/* 1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: three Newton-Raphson steps on the reciprocal of (1 + x) / 2. */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t y = kn_wrap_add(1515870810, kn_doubling_high_multiply(half, -1010580540)); /* 48/17 - 32/17 * half, Q2 */
    for (int32_t i = 0; i < 3; ++i) {
        const int32_t error = kn_wrap_add(1 << 29, -kn_doubling_high_multiply(half, y));
        y = kn_wrap_add(y, kn_saturating_shift_left(kn_doubling_high_multiply(y, error), 2));
    }
    return kn_saturating_shift_left(y, 1);
}

static int32_t leading_zeros(uint32_t value)
{
    int32_t zeros = 0;
    while (zeros < 32 && !(value & 0x80000000u)) {
        value <<= 1;
        ++zeros;
    }
    return zeros;
}

#endif
