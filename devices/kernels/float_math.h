/* Internal: functions of one float32, without the C library. float_math.c has the error of each; NaN gives NaN. */
#ifndef KERNELS_FLOAT_MATH_H
#define KERNELS_FLOAT_MATH_H

#include <stdint.h>

/* a * b + c, rounded once where the core has an instruction for it. */
#if defined(__ARM_FEATURE_FMA)
#define KN_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define KN_FMA(a, b, c) ((a) * (b) + (c))
#endif

typedef union {
    float value;
    uint32_t bits;
    int32_t word;
} kn_float_bits;

static inline float kn_float_of(int32_t word)
{
    kn_float_bits made;
    made.word = word;
    return made.value;
}

/* NaN stays NaN. */
static inline float kn_float_clamp(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static inline float kn_float_abs(float value)
{
    return __builtin_fabsf(value);
}

/* The instruction itself: __builtin_sqrtf calls the C library for negative values. */
static inline float kn_float_sqrt(float value)
{
#if defined(__arm__)
    float root;
    __asm("vsqrt.f32 %0, %1" : "=t"(root) : "t"(value));
    return root;
#elif defined(__SSE2__)
    float root;
    __asm("sqrtss %1, %0" : "=x"(root) : "x"(value));
    return root;
#elif defined(__aarch64__)
    float root;
    __asm("fsqrt %s0, %s1" : "=w"(root) : "w"(value));
    return root;
#else
    return __builtin_sqrtf(value);
#endif
}

float kn_float_exp(float x);
float kn_float_exp_minus_1(float x);
float kn_float_log(float x);
float kn_float_tanh(float x);
float kn_float_logistic(float x);

#endif
