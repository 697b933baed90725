/* ADD, SUB, LEAKY_RELU of 16-bit activations, and QUANTIZE between integer types. */
#include "kernels.h"
#include "walk.h"

static int16_t add_one(const kn_add_params *p, int32_t value1, int32_t value2, int32_t sign)
{
    const int32_t scaled1 =
        kn_requantize(kn_wrap_shift_left(value1, p->left_shift), p->input1_multiplier, p->input1_shift, p->rounding);
    const int32_t scaled2 =
        kn_requantize(kn_wrap_shift_left(value2, p->left_shift), p->input2_multiplier, p->input2_shift, p->rounding);
    const int32_t sum = (int32_t)((uint32_t)scaled1 + (uint32_t)sign * (uint32_t)scaled2);
    return (int16_t)kn_clamp(kn_requantize(sum, p->output_multiplier, p->output_shift, p->rounding), p->activation_min,
                             p->activation_max);
}

void kn_add_16(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int16_t *input1,
               const int16_t *input2, int16_t *output)
{
    const int32_t last = broadcast->rank - 1;
    int32_t index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0}, at1 = 0, at2 = 0;
    do {
        const int16_t *one = input1 + at1, *two = input2 + at2;
        for (int32_t left = broadcast->dims[last]; left > 0; --left) {
            *output++ = add_one(params, *one, *two, sign);
            one += broadcast->strides1[last];
            two += broadcast->strides2[last];
        }
        kn_walk_next(last, broadcast->dims, broadcast->strides1, index1, &at1);
    } while (kn_walk_next(last, broadcast->dims, broadcast->strides2, index2, &at2));
}

void kn_leaky_relu_16(const kn_leaky_relu_params *params, int32_t count, const int16_t *input, int16_t *output)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t value = input[i];
        const int32_t multiplier = value >= 0 ? params->multiplier : params->alpha_multiplier;
        const int32_t shift = value >= 0 ? params->shift : params->alpha_shift;
        output[i] = (int16_t)kn_clamp(kn_requantize(value, multiplier, shift, KN_ROUND_DOUBLE), INT16_MIN, INT16_MAX);
    }
}

static int32_t read_item(const void *items, int32_t bytes, int32_t index)
{
    if (bytes == 1)
        return ((const int8_t *)items)[index];
    return bytes == 2 ? ((const int16_t *)items)[index] : ((const int32_t *)items)[index];
}

void kn_requantize_items(const kn_rescale_params *params, int32_t input_bytes, int32_t output_bytes, int32_t count,
                         const void *input, void *output)
{
    for (int32_t i = 0; i < count; ++i) {
        const int32_t value = kn_wrap_add(read_item(input, input_bytes, i), -params->input_zero_point);
        const int32_t scaled = kn_requantize(value, params->multiplier, params->shift, params->rounding);
        const int32_t stored =
            kn_clamp(kn_wrap_add(scaled, params->output_zero_point), params->activation_min, params->activation_max);
        if (output_bytes == 1)
            ((int8_t *)output)[i] = (int8_t)stored;
        else if (output_bytes == 2)
            ((int16_t *)output)[i] = (int16_t)stored;
        else
            ((int32_t *)output)[i] = stored;
    }
}
