/* Host-side preparation: see prepare.h. Needs a C library with math functions; no kernel does. */
#include "prepare.h"

#include <math.h>

int kn_prepare_multiplier(double real, int32_t *multiplier, int32_t *shift)
{
    int exponent;
    int64_t fixed;
    *multiplier = 0;
    *shift = 0;
    if (real == 0.0)
        return 1;
    if (!isfinite(real))
        return 0;
    fixed = (int64_t)round(frexp(real, &exponent) * 2147483648.0);
    if (fixed == (int64_t)1 << 31) {
        fixed /= 2;
        ++exponent;
    }
    if (exponent < -31)
        return 1;
    if (exponent > 30)
        return 0;
    *multiplier = (int32_t)fixed;
    *shift = exponent;
    return 1;
}

/* As above, for a number that must not be over 1. */
static int multiplier_up_to_one(double real, int32_t *multiplier, int32_t *shift)
{
    return real > 0.0 && real < 1.0 && kn_prepare_multiplier(real, multiplier, shift) && *shift <= 0;
}

static int32_t quantize(float value, float scale, int32_t zero_point)
{
    const float steps = roundf(value / scale);
    /* Beyond +-1024 every use clamps to the int8 range. */
    return zero_point + (steps > 1024.0f ? 1024 : steps < -1024.0f ? -1024 : (int32_t)steps);
}

int kn_prepare_activation_range(int32_t activation, float scale, int32_t zero_point, int32_t *low, int32_t *high)
{
    *low = INT8_MIN;
    *high = INT8_MAX;
    switch (activation) {
    case KN_ACT_NONE:
        return 1;
    case KN_ACT_RELU:
        *low = kn_clamp(quantize(0.0f, scale, zero_point), INT8_MIN, INT8_MAX);
        return 1;
    case KN_ACT_RELU6:
        *low = kn_clamp(quantize(0.0f, scale, zero_point), INT8_MIN, INT8_MAX);
        *high = kn_clamp(quantize(6.0f, scale, zero_point), INT8_MIN, INT8_MAX);
        return 1;
    case KN_ACT_RELU_N1_TO_1:
        *low = kn_clamp(quantize(-1.0f, scale, zero_point), INT8_MIN, INT8_MAX);
        *high = kn_clamp(quantize(1.0f, scale, zero_point), INT8_MIN, INT8_MAX);
        return 1;
    default:
        return 0;
    }
}

int kn_prepare_channel_scales(float input_scale, int32_t count, const float *weights_scales, float output_scale,
                              int32_t *multipliers, int32_t *shifts)
{
    int ok = 1;
    for (int32_t i = 0; i < count; ++i) {
        const double real = (double)input_scale * (double)weights_scales[i] / (double)output_scale;
        ok &= kn_prepare_multiplier(real, &multipliers[i], &shifts[i]);
    }
    return ok;
}

int kn_prepare_tensor_scale(float input_scale, float weights_scale, float output_scale, int32_t *multiplier,
                            int32_t *shift)
{
    const float product = input_scale * weights_scale;
    return kn_prepare_multiplier((double)product / (double)output_scale, multiplier, shift);
}

int kn_prepare_padding(int32_t same, int32_t input, int32_t filter, int32_t stride, int32_t dilation, int32_t *output,
                       int32_t *before)
{
    const int32_t span = (filter - 1) * dilation + 1;
    *before = 0;
    *output = same ? (input + stride - 1) / stride : (input + stride - span) / stride;
    if (*output < 1)
        return 0;
    const int32_t total = (*output - 1) * stride + span - input;
    *before = total > 0 ? total / 2 : 0;
    return 1;
}

int kn_prepare_add(float scale1, int32_t zero_point1, float scale2, int32_t zero_point2, float output_scale,
                   int32_t output_zero_point, int32_t activation, kn_add_params *params)
{
    const double twice_larger = 2.0 * (double)(scale1 > scale2 ? scale1 : scale2);
    params->left_shift = 20;
    params->input1_offset = -zero_point1;
    params->input2_offset = -zero_point2;
    params->output_offset = output_zero_point;
    return multiplier_up_to_one((double)scale1 / twice_larger, &params->input1_multiplier, &params->input1_shift) &&
           multiplier_up_to_one((double)scale2 / twice_larger, &params->input2_multiplier, &params->input2_shift) &&
           multiplier_up_to_one(twice_larger / (1048576.0 * (double)output_scale), &params->output_multiplier,
                                &params->output_shift) &&
           kn_prepare_activation_range(activation, output_scale, output_zero_point, &params->activation_min,
                                       &params->activation_max);
}

int kn_prepare_mul(float scale1, int32_t zero_point1, float scale2, int32_t zero_point2, float output_scale,
                   int32_t output_zero_point, int32_t activation, kn_mul_params *params)
{
    const float product = scale1 * scale2;
    const float ratio = product / output_scale;
    params->input1_offset = -zero_point1;
    params->input2_offset = -zero_point2;
    params->output_offset = output_zero_point;
    return kn_prepare_multiplier((double)ratio, &params->multiplier, &params->shift) &&
           kn_prepare_activation_range(activation, output_scale, output_zero_point, &params->activation_min,
                                       &params->activation_max);
}

int kn_prepare_mean(float input_scale, float output_scale, int64_t elements, int32_t *multiplier, int32_t *shift)
{
    int32_t bits = 0;
    if (elements < 1 || !kn_prepare_multiplier((double)input_scale / (double)output_scale, multiplier, shift))
        return 0;
    /* Multiplied by the largest power of two that is not over `elements` before the division: no bit is lost. */
    while (bits < 32 && (elements >> (bits + 1)) > 0)
        ++bits;
    if (bits > 31 + *shift)
        bits = 31 + *shift;
    *multiplier = (int32_t)(((int64_t)*multiplier << bits) / elements);
    *shift -= bits;
    return 1;
}

int kn_prepare_rescale(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                       int32_t activation, kn_rescale_params *params)
{
    const float ratio = input_scale / output_scale;
    const double real = activation == KN_ACT_NONE ? (double)input_scale / (double)output_scale : (double)ratio;
    params->input_zero_point = input_zero_point;
    params->output_zero_point = output_zero_point;
    return kn_prepare_multiplier(real, &params->multiplier, &params->shift) &&
           kn_prepare_activation_range(activation, output_scale, output_zero_point, &params->activation_min,
                                       &params->activation_max);
}

int kn_prepare_leaky_relu(float input_scale, int32_t input_zero_point, float alpha, float output_scale,
                          int32_t output_zero_point, kn_leaky_relu_params *params)
{
    const float product = input_scale * alpha;
    const float alpha_ratio = product / output_scale;
    const float ratio = input_scale / output_scale;
    params->input_zero_point = input_zero_point;
    params->output_zero_point = output_zero_point;
    return kn_prepare_multiplier((double)alpha_ratio, &params->alpha_multiplier, &params->alpha_shift) &&
           kn_prepare_multiplier((double)ratio, &params->multiplier, &params->shift);
}

static int32_t to_16_bits(int32_t multiplier)
{
    return multiplier >= INT32_MAX - (1 << 15) ? INT16_MAX : (multiplier + (1 << 15)) >> 16;
}

int kn_prepare_hard_swish(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                          kn_hard_swish_params *params)
{
    const float fine_scale = 1.0f / 128.0f * input_scale;
    const float unit = 3.0f / 32768.0f;
    const float output_ratio = fine_scale / output_scale;
    const float relu_ratio = fine_scale / unit;
    params->input_zero_point = input_zero_point;
    params->output_zero_point = output_zero_point;
    if (!kn_prepare_multiplier((double)output_ratio, &params->output_multiplier, &params->output_shift) ||
        !kn_prepare_multiplier((double)relu_ratio, &params->relu_multiplier, &params->relu_shift))
        return 0;
    params->output_multiplier = to_16_bits(params->output_multiplier);
    params->relu_multiplier = to_16_bits(params->relu_multiplier);
    return params->output_shift <= 0 && params->output_shift >= -15 && params->relu_shift >= -15 &&
           params->relu_shift <= 15;
}

int kn_prepare_softmax(float input_scale, float beta, kn_softmax_params *params)
{
    const double limit = 2147483647.0;
    double real = (double)beta * (double)input_scale * 67108864.0;
    int exponent;
    if (!(real > 1.0))
        return 0;
    if (real > limit)
        real = limit;
    int64_t fixed = (int64_t)round(frexp(real, &exponent) * 2147483648.0);
    if (fixed == (int64_t)1 << 31) {
        fixed /= 2;
        ++exponent;
    }
    params->multiplier = (int32_t)fixed;
    params->shift = exponent;
    params->difference_min = -(int32_t)floor(31.0 * 67108864.0 / (double)((int64_t)1 << exponent));
    return 1;
}

static void fill_table(float (*function)(float), float input_scale, int32_t input_zero_point, float output_scale,
                       int32_t output_zero_point, int8_t table[256])
{
    const float inverse = 1.0f / output_scale;
    for (int32_t value = INT8_MIN; value <= INT8_MAX; ++value) {
        const float real = input_scale * (float)(value - input_zero_point);
        const float steps = roundf(function(real) * inverse) + (float)output_zero_point;
        table[value + 128] = (int8_t)(steps >= 127.0f ? 127 : steps <= -128.0f ? -128 : (int32_t)steps);
    }
}

static float logistic(float value)
{
    return 1.0f / (1.0f + expf(-value));
}

void kn_prepare_logistic_table(float input_scale, int32_t input_zero_point, float output_scale,
                               int32_t output_zero_point, int8_t table[256])
{
    fill_table(logistic, input_scale, input_zero_point, output_scale, output_zero_point, table);
}

void kn_prepare_tanh_table(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                           int8_t table[256])
{
    fill_table(tanhf, input_scale, input_zero_point, output_scale, output_zero_point, table);
}

void kn_prepare_concatenation_table(float input_scale, int32_t input_zero_point, float output_scale,
                                    int32_t output_zero_point, int8_t table[256])
{
    /* In uint8 terms, as the reference computes: the float products round differently on shifted numbers. */
    const float scale = input_scale * (1.0f / output_scale);
    const float bias = -(float)(input_zero_point + 128) * scale;
    for (int32_t stored = 0; stored < 256; ++stored) {
        const float product = (float)stored * scale;
        const float steps = roundf(product + bias);
        const int32_t value = (steps > 1024.0f ? 1024 : steps < -1024.0f ? -1024 : (int32_t)steps) + output_zero_point;
        table[stored] = (int8_t)kn_clamp(value, INT8_MIN, INT8_MAX);
    }
}
