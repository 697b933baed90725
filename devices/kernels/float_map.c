/* Functions of one float32. */
#include "kernels.h"
#include "float_math.h"

#if KN_FLOATS

/* The integer next to `x` towards zero; values that are integers by their size stay as they are. */
static float whole_part(float x)
{
    return kn_float_abs(x) < 0x1p+23f ? (float)(int32_t)x : x;
}

/* Ties to even. */
static float nearest(float x)
{
    const float shift = x < 0.0f ? -0x1p+23f : 0x1p+23f;
    return kn_float_abs(x) < 0x1p+23f ? (x + shift) - shift : x;
}

static float function_of(int32_t function, float a, float b, float x)
{
    float whole;
    switch (function) {
    case KN_CLAMP:
        return kn_float_clamp(x, a, b);
    case KN_LEAKY:
        return x > 0.0f ? x : x * a;
    case KN_ELU:
        return x < 0.0f ? kn_float_exp_minus_1(x) : x;
    case KN_LOGISTIC:
        return kn_float_logistic(x);
    case KN_TANH:
        return kn_float_tanh(x);
    case KN_HARD_SWISH:
        return x * kn_float_clamp(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    case KN_EXP:
        return kn_float_exp(x);
    case KN_LOG:
        return kn_float_log(x);
    case KN_SQRT:
        return kn_float_sqrt(x);
    case KN_RSQRT:
        return 1.0f / kn_float_sqrt(x);
    case KN_ABS:
        return kn_float_abs(x);
    case KN_NEG:
        return -x;
    case KN_SQUARE:
        return x * x;
    case KN_FLOOR:
        whole = whole_part(x);
        return whole > x ? whole - 1.0f : whole;
    case KN_CEIL:
        whole = whole_part(x);
        return whole < x ? whole + 1.0f : whole;
    default: /* KN_ROUND */
        return nearest(x);
    }
}

void kn_float_map(int32_t function, float a, float b, int32_t count, const float *input, float *output)
{
    for (; count > 0; --count)
        *output++ = function_of(function, a, b, *input++);
}

#endif
