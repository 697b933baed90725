/* 1 / sqrt(x) of an integer in fixed point, after TensorFlow Lite's GetInvSqrtQuantizedMultiplierExp. */
#ifndef KERNELS_INVERSE_SQRT_H
#define KERNELS_INVERSE_SQRT_H

#include "requantize.h"

/* 1 / sqrt(value) = multiplier * 2^(shift - 31); of 0 as of 1. value >= 0. */
static inline void kn_inverse_sqrt(int32_t value, int32_t *multiplier, int32_t *shift)
{
    const int32_t one_and_a_half = (1 << 28) + (1 << 27); /* Q3.28, as x below */
    int32_t right = 11, x = 1 << 28;
    if (value <= 1) {
        *multiplier = INT32_MAX;
        *shift = 0;
        return;
    }
    while (value >= 1 << 29) {
        value /= 4;
        ++right;
    }
    while (value < 1 << 27) {
        value *= 4;
        --right;
    }
    const int32_t half = kn_divide_by_power_of_two(value >> 1, 1);
    for (int32_t i = 0; i < 5; ++i) { /* Newton-Raphson: x * (3 - value * x * x) / 2 */
        const int32_t cube = kn_saturating_shift_left(kn_doubling_high_multiply(kn_doubling_high_multiply(x, x), x), 6);
        x = kn_saturating_shift_left(
            kn_wrap_add(kn_doubling_high_multiply(one_and_a_half, x), -kn_doubling_high_multiply(half, cube)), 3);
    }
    x = kn_doubling_high_multiply(x, 1518500250); /* sqrt(2) / 2 */
    if (right < 0) {
        x = kn_wrap_shift_left(x, -right);
        right = 0;
    }
    *multiplier = x;
    *shift = -right;
}

#endif
