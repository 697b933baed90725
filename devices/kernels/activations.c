/* Functions of one value: the RELU family, LEAKY_RELU, HARD_SWISH, and any function by table. */
#include "kernels.h"

void kn_rescale(const kn_rescale_params *params, int32_t count, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = kn_requantize_to_int8(input[i] - params->input_zero_point, params->multiplier, params->shift,
                                          params->rounding, params->output_zero_point, params->activation_min,
                                          params->activation_max);
}

void kn_leaky_relu(const kn_leaky_relu_params *params, int32_t count, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t value = input[i] - params->input_zero_point;
        const int32_t multiplier = value >= 0 ? params->multiplier : params->alpha_multiplier;
        const int32_t shift = value >= 0 ? params->shift : params->alpha_shift;
        output[i] = kn_requantize_to_int8(value, multiplier, shift, KN_ROUND_DOUBLE, params->output_zero_point,
                                          INT8_MIN, INT8_MAX);
    }
}

static int32_t saturate_16(int32_t value)
{
    return kn_clamp(value, INT16_MIN, INT16_MAX);
}

/* 2 * a * b / 2^16 for 16-bit values and a multiplier >= 0, rounded to nearest with ties towards plus infinity. */
static int32_t rounding_high_multiply_16(int32_t a, int32_t multiplier)
{
    return (a * multiplier + (1 << 14)) >> 15;
}

static int32_t hard_swish_one(const kn_hard_swish_params *p, int32_t stored)
{
    /* Seven spare bits: an int8 difference needs nine of the sixteen, sign included. */
    const int32_t fine = (int16_t)((stored - p->input_zero_point) * 128);
    const int32_t scaled = rounding_high_multiply_16(fine, p->output_multiplier);
    /* relu6(x + 3) / 6 in 1/32768: x / 3 first, saturated to [-1, 1]. The last bit of a left shift comes after the
     * multiplication, so that saturation before it never shows. */
    int32_t gate = fine;
    if (p->relu_shift > 0)
        gate = saturate_16(gate * (1 << (p->relu_shift - 1)));
    gate = rounding_high_multiply_16(gate, p->relu_multiplier);
    if (p->relu_shift > 0)
        gate = saturate_16(gate * 2);
    if (p->relu_shift < 0)
        gate = kn_divide_by_power_of_two(gate, -p->relu_shift);
    gate = (gate + 32768) >> 1;
    /* Truncates: the bias of the rounding multiplications above is cancelled here. */
    const int32_t product = gate * scaled / 32768;
    return kn_divide_by_power_of_two(product, -p->output_shift) + p->output_zero_point;
}

void kn_hard_swish(const kn_hard_swish_params *params, int32_t count, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = (int8_t)kn_clamp(hard_swish_one(params, input[i]), INT8_MIN, INT8_MAX);
}

void kn_lookup(const int8_t table[256], int32_t count, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = table[input[i] + 128];
}
