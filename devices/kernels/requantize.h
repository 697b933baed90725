/* Fixed-point arithmetic on 32-bit accumulators: scaling by a real number without floating point.
 *
 * A real multiplier m is stored as (multiplier, shift) with m = multiplier * 2^(shift - 31), 2^30 <= multiplier < 2^31
 * or 0, and -31 <= shift <= 30. Source: the TensorFlow Lite 8-bit quantization specification and gemmlowp's definition
 * of its fixed-point operations (doc/quantization.md and "saturating rounding doubling high multiply").
 *
 * Sums and left shifts wrap at 32 bits, as the reference's machine code does; here the wrapping is written out with
 * unsigned arithmetic, so that no input, however hostile, is undefined behaviour.
 */
#ifndef KERNELS_REQUANTIZE_H
#define KERNELS_REQUANTIZE_H

#include <stdint.h>

/* How the product of accumulator and multiplier is brought back to 32 bits. */
enum kn_rounding {
    /* Twice: to nearest when the product is halved to 32 bits, then half away from zero at the final shift. TensorFlow
     * Lite's reference kernels up to and including 2.14, and TensorFlow Lite Micro on Arm. Bit-exact mode. */
    KN_ROUND_DOUBLE = 0,
    /* Once, half up, on the 64-bit product: what NPUs and newer runtimes do. Differs from the above by at most one
     * unit. Needs multiplier >= 0. */
    KN_ROUND_SINGLE = 1
};

static inline int32_t kn_wrap_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t kn_wrap_shift_left(int32_t value, int32_t bits)
{
    return (int32_t)((uint32_t)value << bits);
}

static inline int32_t kn_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* 2 * a * b / 2^32, rounded to nearest with ties towards plus infinity; saturates where a = b = INT32_MIN.
 * gemmlowp defines it with a nudge that depends on the sign and a division that truncates; the floor below is the same
 * number for every input. */
static inline int32_t kn_doubling_high_multiply(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN)
        return INT32_MAX;
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent, rounded to nearest, ties away from zero. 0 <= exponent <= 31. */
static inline int32_t kn_divide_by_power_of_two(int32_t value, int32_t exponent)
{
    const uint32_t mask = ((uint32_t)1 << exponent) - 1u;
    const uint32_t remainder = (uint32_t)value & mask;
    const uint32_t threshold = (mask >> 1) + (value < 0 ? 1u : 0u);
    return (value >> exponent) + (remainder > threshold ? 1 : 0);
}

/* value * 2^exponent for exponent >= 0, saturated to 32 bits. 0 <= exponent <= 31. */
static inline int32_t kn_saturating_shift_left(int32_t value, int32_t exponent)
{
    const int64_t wide = (int64_t)value * ((int64_t)1 << exponent);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* value * multiplier * 2^(shift - 31). */
static inline int32_t kn_requantize(int32_t value, int32_t multiplier, int32_t shift, int32_t rounding)
{
    if (rounding == KN_ROUND_SINGLE) {
        const int32_t total = 31 - shift;
        return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << (total - 1))) >> total);
    }
    if (shift > 0)
        return kn_doubling_high_multiply(kn_wrap_shift_left(value, shift), multiplier);
    return kn_divide_by_power_of_two(kn_doubling_high_multiply(value, multiplier), -shift);
}

/* The same for the 64-bit sums of 16-bit activations: a multiplier of 15 bits, one rounding, half up. -31 <= shift <=
 * 7, and |value| < 2^47 for a meaningful result; products beyond 64 bits wrap. */
static inline int32_t kn_requantize_wide(int64_t value, int32_t multiplier, int32_t shift)
{
    const int32_t reduced = multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
    const int32_t total = 15 - shift;
    const uint64_t product = (uint64_t)value * (uint64_t)reduced + ((uint64_t)1 << (total - 1));
    return (int32_t)((int64_t)product >> total);
}

/* The sum plus an int64 bias, which is two words, the lower first; `bias` may be NULL. */
static inline int64_t kn_plus_wide_bias(int64_t sum, const int32_t *bias, int32_t channel)
{
    if (!bias)
        return sum;
    return (int64_t)((uint64_t)sum + ((uint64_t)(uint32_t)bias[2 * channel + 1] << 32 | (uint32_t)bias[2 * channel]));
}

/* The usual end of a kernel: scale, add the output zero point, clamp to the activation range. */
static inline int8_t kn_requantize_to_int8(int32_t value, int32_t multiplier, int32_t shift, int32_t rounding,
                                           int32_t zero_point, int32_t low, int32_t high)
{
    return (int8_t)kn_clamp(kn_wrap_add(kn_requantize(value, multiplier, shift, rounding), zero_point), low, high);
}

#endif
