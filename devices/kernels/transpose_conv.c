/* TRANSPOSE_CONV, for activations of 8 and of 16 bits.
 *
 * The reference spreads every input pixel over the output and adds up in scratch memory. Here each output collects what
 * falls on it: integer sums do not depend on the order, and no scratch is needed. */
#include "kernels.h"

typedef struct {
    const kn_conv_params *params;
    const kn_conv_shape *shape;
    const kn_channel_scales *scales;
    const void *input;
    const int8_t *weights;
    const int32_t *bias;
} layer;

static inline int32_t value_of(const void *input, int32_t index, int sixteen)
{
    return sixteen ? ((const int16_t *)input)[index] : ((const int8_t *)input)[index];
}

/* The sum over the input pixels whose filter meets the output pixel (y, x), for one channel; `filter` is the
 * channel's. */
static inline int64_t collect(const layer *l, const void *image, const int8_t *filter, int32_t y, int32_t x,
                              int sixteen)
{
    const kn_conv_params *const p = l->params;
    const kn_conv_shape *const s = l->shape;
    const int32_t channels = s->input_channels;
    int64_t sum = 0;
    for (int32_t tap_y = 0; tap_y < s->filter_height; ++tap_y) {
        const int32_t from_y = y + p->pad_top - tap_y;
        if (from_y < 0 || from_y % p->stride_height || from_y / p->stride_height >= s->input_height)
            continue;
        for (int32_t tap_x = 0; tap_x < s->filter_width; ++tap_x) {
            const int32_t from_x = x + p->pad_left - tap_x;
            if (from_x < 0 || from_x % p->stride_width || from_x / p->stride_width >= s->input_width)
                continue;
            const int32_t at = (from_y / p->stride_height * s->input_width + from_x / p->stride_width) * channels;
            const int8_t *const weights = filter + (tap_y * s->filter_width + tap_x) * channels;
            for (int32_t channel = 0; channel < channels; ++channel)
                sum += (int64_t)(value_of(image, at + channel, sixteen) + p->input_offset) * weights[channel];
        }
    }
    return sum;
}

/* `sixteen`: items of 16 bits; `wide`: as kernels.h has it for them. Both are constants where this is called. */
static inline __attribute__((always_inline)) void transpose_conv(const layer *l, void *output, int sixteen, int wide)
{
    const kn_conv_params *const p = l->params;
    const kn_conv_shape *const s = l->shape;
    const int32_t image_items = s->input_height * s->input_width * s->input_channels;
    const int32_t filter_items = s->filter_height * s->filter_width * s->input_channels;
    int32_t at = 0;
    for (int32_t batch = 0; batch < s->batches; ++batch) {
        const void *const image = (const int8_t *)l->input + batch * image_items * (sixteen ? 2 : 1);
        for (int32_t pixel = 0; pixel < s->output_height * s->output_width; ++pixel) {
            const int32_t y = pixel / s->output_width, x = pixel % s->output_width;
            for (int32_t channel = 0; channel < s->output_channels; ++channel, ++at) {
                const int32_t scale = l->scales->per_channel ? channel : 0;
                const int32_t multiplier = l->scales->multipliers[scale], shift = l->scales->shifts[scale];
                const int64_t sum = collect(l, image, l->weights + channel * filter_items, y, x, sixteen);
                int32_t value;
                if (wide) {
                    value = kn_requantize_wide(kn_plus_wide_bias(sum, l->bias, channel), multiplier, shift);
                } else {
                    const int32_t whole = kn_wrap_add((int32_t)sum, l->bias ? l->bias[channel] : 0);
                    value = kn_requantize(whole, multiplier, shift, p->rounding);
                }
                value = kn_clamp(kn_wrap_add(value, p->output_offset), p->activation_min, p->activation_max);
                if (sixteen)
                    ((int16_t *)output)[at] = (int16_t)value;
                else
                    ((int8_t *)output)[at] = (int8_t)value;
            }
        }
    }
}

void kn_transpose_conv(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                       const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output)
{
    const layer l = {params, shape, scales, input, weights, bias};
    transpose_conv(&l, output, 0, 0);
}

void kn_transpose_conv_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                          int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias,
                          int16_t *output)
{
    const layer l = {params, shape, scales, input, weights, bias};
    if (wide)
        transpose_conv(&l, output, 1, 1);
    else
        transpose_conv(&l, output, 1, 0);
}
