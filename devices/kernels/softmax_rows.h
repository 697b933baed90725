/* SOFTMAX of 8-bit inputs. Exponential and reciprocal in fixed point, after gemmlowp's published definitions.
 *
 * A Qm.n number below is an int32 with m integer and n fraction bits (m + n = 31). A product of Qa and Qb by the
 * doubling high multiply is a Q(a+b).
 */
#ifndef KERNELS_SOFTMAX_ROWS_H
#define KERNELS_SOFTMAX_ROWS_H

#include "kernels.h"
#include "reciprocal.h"

enum {
    DIFFERENCE_INTEGER_BITS = 5, /* input differences are Q5.26: down to -32 */
    SUM_INTEGER_BITS = 12        /* the sum of exponentials is Q12.19: up to 4095 terms of 1 */
};

/* exp(x) for x in [-1/4, 0) in Q0.31: Taylor series of fourth order around -1/8. */
static int32_t exp_near_zero(int32_t x)
{
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t t = kn_wrap_add(x, 1 << 28);
    const int32_t t2 = kn_doubling_high_multiply(t, t);
    const int32_t t3 = kn_doubling_high_multiply(t2, t);
    const int32_t t4 = kn_doubling_high_multiply(t2, t2);
    const int32_t quarter_t4 = kn_divide_by_power_of_two(t4, 2);
    const int32_t tail = kn_divide_by_power_of_two(
        kn_wrap_add(kn_doubling_high_multiply(kn_wrap_add(quarter_t4, t3), one_third), t2), 1);
    return kn_wrap_add(exp_of_minus_eighth, kn_doubling_high_multiply(exp_of_minus_eighth, kn_wrap_add(t, tail)));
}

/* exp(x) in Q0.31 for x <= 0 in Q5.26: x = a quarter-sized rest plus bits worth 1/4, 1/2, 1, 2, 4, 8, 16; each bit
 * multiplies by its own exponential. */
static int32_t exp_of_negative(int32_t x)
{
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t fraction_bits = 31 - DIFFERENCE_INTEGER_BITS;
    const int32_t quarter = 1 << (fraction_bits - 2);
    if (x == 0)
        return INT32_MAX;
    const int32_t rest = (x & (quarter - 1)) - quarter;
    const uint32_t bits = (uint32_t)rest - (uint32_t)x;
    int32_t result = exp_near_zero(kn_saturating_shift_left(rest, DIFFERENCE_INTEGER_BITS));
    for (int32_t i = 0; i < 7; ++i)
        if (bits & ((uint32_t)1 << (fraction_bits - 2 + i)))
            result = kn_doubling_high_multiply(result, factors[i]);
    return result;
}

static int32_t exp_of_difference(const kn_softmax_params *params, int32_t difference)
{
    return exp_of_negative(
        kn_doubling_high_multiply(kn_wrap_shift_left(difference, params->shift), params->multiplier));
}

/* `output` holds items of `bits`, 8 or 16. */
static inline void softmax_rows(const kn_softmax_params *params, const int8_t *input, void *output, int32_t bits)
{
    int8_t *next8 = output;
    int16_t *next16 = output;
    for (int32_t row = 0; row < params->rows; ++row, input += params->depth) {
        int32_t max = INT8_MIN;
        uint32_t sum = 0;
        for (int32_t i = 0; i < params->depth; ++i)
            if (input[i] > max)
                max = input[i];
        for (int32_t i = 0; i < params->depth; ++i)
            if (input[i] - max >= params->difference_min)
                sum += (uint32_t)kn_divide_by_power_of_two(exp_of_difference(params, input[i] - max), SUM_INTEGER_BITS);
        /* sum = (1 + rest) * 2^(SUM_INTEGER_BITS - headroom), rest in [0, 1) */
        const int32_t headroom = leading_zeros(sum);
        const int32_t scale = reciprocal_of_one_plus((int32_t)((sum << headroom) - 0x80000000u));
        const int32_t shift = SUM_INTEGER_BITS - headroom + 31 - bits;
        for (int32_t i = 0; i < params->depth; ++i) {
            int32_t value = 0;
            /* From 512 terms of 1 on, shift is over 31 and every share rounds to 0. (The reference shifts a 32-bit
             * number by 32 and more there, which C leaves undefined; see docs/internals/kernels.md.) */
            if (shift <= 31 && input[i] - max >= params->difference_min)
                value = kn_divide_by_power_of_two(
                    kn_doubling_high_multiply(scale, exp_of_difference(params, input[i] - max)), shift);
            if (bits == 8)
                *next8++ = (int8_t)kn_clamp(value - 128, INT8_MIN, INT8_MAX);
            else
                *next16++ = (int16_t)kn_clamp(value - 32768, INT16_MIN, INT16_MAX);
        }
    }
}

#endif
