/* CONV_2D and DEPTHWISE_CONV_2D of 16-bit activations with 8-bit weights (16x8 quantization). */
#include "kernels.h"
#include "taps.h"

/* The end of every sum. */
static int16_t finish(const kn_conv_params *params, const kn_channel_scales *scales, int32_t channel, int32_t wide,
                      int64_t sum, const int32_t *bias)
{
    const int32_t scale = scales->per_channel ? channel : 0;
    const int32_t multiplier = scales->multipliers[scale], shift = scales->shifts[scale];
    int32_t value;
    if (wide) {
        value = kn_requantize_wide(kn_plus_wide_bias(sum, bias, channel), multiplier, shift);
    } else {
        const int32_t whole = kn_wrap_add((int32_t)sum, bias ? bias[channel] : 0);
        value = kn_requantize(whole, multiplier, shift, params->rounding);
    }
    return (int16_t)kn_clamp(value, params->activation_min, params->activation_max);
}

/* Sum over the taps inside the input of one output channel: `count` values of the input side by side at each tap,
 * against as many weights; from tap to tap it is `tap_weights`. */
static int64_t convolve(const kn_conv_params *params, const kn_conv_shape *shape, const kn_window *taps,
                        const int16_t *image, const int8_t *weights, int32_t count, int32_t tap_weights)
{
    int64_t sum = 0;
    for (int32_t y = taps->first_y; y < taps->last_y; ++y) {
        const int32_t input_y = taps->origin_y + y * params->dilation_height;
        for (int32_t x = taps->first_x; x < taps->last_x; ++x) {
            const int32_t input_x = taps->origin_x + x * params->dilation_width;
            const int16_t *value = image + (input_y * shape->input_width + input_x) * shape->input_channels;
            const int8_t *weight = weights + (y * shape->filter_width + x) * tap_weights;
            /* Products have 23 bits: 256 of them fit in 32. */
            for (int32_t left = count; left > 0;) {
                const int32_t part = left < 256 ? left : 256;
                int32_t partial = 0;
                for (int32_t i = 0; i < part; ++i)
                    partial += *value++ * *weight++;
                sum += partial;
                left -= part;
            }
        }
    }
    return sum;
}

static void convolution(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                        int32_t wide, int depthwise, const int16_t *input, const int8_t *weights, const int32_t *bias,
                        int16_t *output)
{
    const int32_t per_group =
        depthwise ? shape->filter_channels : shape->output_channels / (shape->input_channels / shape->filter_channels);
    const int32_t filter_size = shape->filter_height * shape->filter_width * shape->filter_channels;
    kn_window taps;
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            taps.origin_y = y * params->stride_height - params->pad_top;
            kn_clip_taps(taps.origin_y, shape->filter_height, params->dilation_height, shape->input_height,
                         &taps.first_y, &taps.last_y);
            for (int32_t x = 0; x < shape->output_width; ++x) {
                taps.origin_x = x * params->stride_width - params->pad_left;
                kn_clip_taps(taps.origin_x, shape->filter_width, params->dilation_width, shape->input_width,
                             &taps.first_x, &taps.last_x);
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const int32_t group = channel / per_group;
                    const int64_t sum =
                        depthwise
                            ? convolve(params, shape, &taps, input + group, weights + channel, 1,
                                       shape->output_channels)
                            : convolve(params, shape, &taps, input + group * shape->filter_channels,
                                       weights + channel * filter_size, shape->filter_channels, shape->filter_channels);
                    *output++ = finish(params, scales, channel, wide, sum, bias);
                }
            }
        }
        input += shape->input_height * shape->input_width * shape->input_channels;
    }
}

void kn_conv_2d_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                   int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias, int16_t *output)
{
    convolution(params, shape, scales, wide, 0, input, weights, bias, output);
}

void kn_depthwise_conv_2d_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                             int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias,
                             int16_t *output)
{
    convolution(params, shape, scales, wide, 1, input, weights, bias, output);
}
