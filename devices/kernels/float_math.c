/* exp, log, tanh and what is made of them, in float32.
 *
 * The polynomials are least-maximum fits of the functions' remainders, made for these ranges. Errors in units of the
 * last place, held against float64 over all floats or a dense part of them (tests/devices/test_float_math.py): exp, log
 * and tanh 2, logistic 3, exp_minus_1 4. A denormal result may be off by one unit more. */
#include "kernels.h"
#include "float_math.h"

#if KN_FLOATS

#define LN_2_HIGH 0x1.62e4p-1f /* so few digits that the product with an exponent is exact */
#define LN_2_LOW 0x1.7f7d1cp-20f
#define LOG_2_OF_E 0x1.715476p+0f
#define TO_NEAREST 0x1.8p+23f /* added and taken off again: rounds to an integer */

/* 2^n for -126 <= n <= 127. */
static float power_of_2(int32_t n)
{
    return kn_float_of((n + 127) << 23);
}

/* e^x - 1 for |x| <= 0.35. */
static float near_0(float x)
{
    float p = 0x1.6a1a8cp-10f;
    p = KN_FMA(p, x, 0x1.123fb4p-7f);
    p = KN_FMA(p, x, 0x1.555916p-5f);
    p = KN_FMA(p, x, 0x1.55548ap-3f);
    p = KN_FMA(p, x, 0x1.fffffcp-2f);
    return KN_FMA(p, x * x, x);
}

float kn_float_exp(float x)
{
    /* Beyond these the result is infinity or 0, and n must stay an exponent. NaN passes both. */
    const float kept = kn_float_clamp(x, -104.0f, 89.0f);
    const float n = (kept * LOG_2_OF_E + TO_NEAREST) - TO_NEAREST;
    const float rest = KN_FMA(n, -LN_2_LOW, KN_FMA(n, -LN_2_HIGH, kept));
    if (x != x)
        return x;
    /* In two steps: the exponent of a denormal result, or of one next to infinity, is none of a float. */
    const int32_t exponent = (int32_t)n, half = exponent / 2;
    return (near_0(rest) + 1.0f) * power_of_2(half) * power_of_2(exponent - half);
}

float kn_float_exp_minus_1(float x)
{
    return kn_float_abs(x) <= 0.35f ? near_0(x) : kn_float_exp(x) - 1.0f;
}

float kn_float_log(float x)
{
    kn_float_bits split = {x};
    int32_t exponent = 0;
    if (!(x > 0.0f)) /* minus infinity for 0, else NaN */
        return x == 0.0f ? -1.0f / (x * x) : (x - x) / (x - x);
    if (split.bits >= 0x7F800000u)
        return x;
    if (split.bits < 0x00800000u) { /* denormal */
        split.value = x * 0x1p+23f;
        exponent = -23;
    }
    /* m in [sqrt(1/2), sqrt(2)), x = m * 2^exponent */
    const int32_t shift = (split.word - 0x3F3504F3) >> 23;
    split.word -= shift * (1 << 23);
    exponent += shift;
    const float f = split.value - 1.0f, e = (float)exponent;
    float p = -0x1.38b51ep-4f;
    p = KN_FMA(p, f, 0x1.055b58p-3f);
    p = KN_FMA(p, f, -0x1.0d854cp-3f);
    p = KN_FMA(p, f, 0x1.22da20p-3f);
    p = KN_FMA(p, f, -0x1.547244p-3f);
    p = KN_FMA(p, f, 0x1.99a008p-3f);
    p = KN_FMA(p, f, -0x1.000226p-2f);
    p = KN_FMA(p, f, 0x1.555554p-2f);
    const float square = f * f;
    const float small = KN_FMA(p, f * square, KN_FMA(e, LN_2_LOW, -0.5f * square));
    return KN_FMA(e, LN_2_HIGH, f + small);
}

float kn_float_tanh(float x)
{
    const float size = kn_float_abs(x);
    if (size < 0.6f) {
        const float square = x * x;
        float p = -0x1.736422p-8f;
        p = KN_FMA(p, square, 0x1.519c94p-6f);
        p = KN_FMA(p, square, -0x1.b827fep-5f);
        p = KN_FMA(p, square, 0x1.110692p-3f);
        p = KN_FMA(p, square, -0x1.555530p-2f);
        return KN_FMA(p, x * square, x);
    }
    const float value = 1.0f - 2.0f / (kn_float_exp(2.0f * size) + 1.0f);
    return x < 0.0f ? -value : value;
}

float kn_float_logistic(float x)
{
    /* Of the negative side, so that small results keep their digits. */
    const float e = kn_float_exp(-kn_float_abs(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

#endif
