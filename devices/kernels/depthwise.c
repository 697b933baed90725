/* DEPTHWISE_CONV_2D. */
#include "kernels.h"

/* Sum over the filter window for one output channel; taps outside the input add nothing. */
static uint32_t convolve_channel(const kn_conv_params *params, const kn_conv_shape *shape, int32_t origin_y,
                                 int32_t origin_x, const int8_t *image, const int8_t *weights)
{
    uint32_t sum = 0;
    for (int32_t y = 0; y < shape->filter_height; ++y) {
        const int32_t input_y = origin_y + y * params->dilation_height;
        if (input_y < 0 || input_y >= shape->input_height)
            continue;
        const int8_t *row = image + input_y * shape->input_width * shape->input_channels;
        const int8_t *taps = weights + y * shape->filter_width * shape->output_channels;
        for (int32_t x = 0; x < shape->filter_width; ++x) {
            const int32_t input_x = origin_x + x * params->dilation_width;
            if (input_x < 0 || input_x >= shape->input_width)
                continue;
            sum += (uint32_t)((row[input_x * shape->input_channels] + params->input_offset) *
                              (taps[x * shape->output_channels] + params->weights_offset));
        }
    }
    return sum;
}

static int8_t *convolve_pixel(const kn_conv_params *params, const kn_conv_shape *shape,
                              const kn_channel_scales *scales, int32_t origin_y, int32_t origin_x, const int8_t *image,
                              const int8_t *weights, const int32_t *bias, int8_t *output)
{
    int32_t channel = 0;
    for (int32_t input_channel = 0; input_channel < shape->input_channels; ++input_channel) {
        for (int32_t i = 0; i < shape->filter_channels; ++i, ++channel) {
            uint32_t sum = convolve_channel(params, shape, origin_y, origin_x, image + input_channel,
                                            weights + channel);
            if (bias)
                sum += (uint32_t)bias[channel];
            const int32_t scale = scales->per_channel ? channel : 0;
            *output++ = kn_requantize_to_int8((int32_t)sum, scales->multipliers[scale], scales->shifts[scale],
                                              params->rounding, params->output_offset, params->activation_min,
                                              params->activation_max);
        }
    }
    return output;
}

void kn_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                          const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output)
{
    const int32_t image_size = shape->input_height * shape->input_width * shape->input_channels;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += image_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                output = convolve_pixel(params, shape, scales, origin_y, origin_x, input, weights, bias, output);
            }
        }
    }
}
