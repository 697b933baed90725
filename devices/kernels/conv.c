/* CONV_2D. */
#include "kernels.h"
#include "taps.h"

static uint32_t convolve_pixel(const kn_conv_params *params, const kn_conv_shape *shape, const kn_window *taps,
                               const int8_t *image, const int8_t *filter)
{
    const int32_t channels = shape->filter_channels;
    const int32_t columns = taps->last_x - taps->first_x;
    /* Without dilation and groups, the columns of one filter row lie side by side in input and filter. */
    const int contiguous = params->dilation_width == 1 && channels == shape->input_channels;
    uint32_t sum = 0;
    if (columns == 0)
        return 0;
    for (int32_t y = taps->first_y; y < taps->last_y; ++y) {
        const int32_t input_y = taps->origin_y + y * params->dilation_height;
        const int8_t *weights = filter + (y * shape->filter_width + taps->first_x) * channels;
        const int32_t input_x = taps->origin_x + taps->first_x * params->dilation_width;
        const int8_t *input = image + (input_y * shape->input_width + input_x) * shape->input_channels;
        if (contiguous) {
            sum += kn_dot(input, weights, columns * channels, params->input_offset, params->weights_offset);
            continue;
        }
        for (int32_t x = 0; x < columns; ++x) {
            sum += kn_dot(input, weights, channels, params->input_offset, params->weights_offset);
            input += params->dilation_width * shape->input_channels;
            weights += channels;
        }
    }
    return sum;
}

/* All output channels of one pixel; returns where the next pixel goes. */
static int8_t *convolve_channels(const kn_conv_params *params, const kn_conv_shape *shape,
                                 const kn_channel_scales *scales, const kn_window *taps, const int8_t *image,
                                 const int8_t *weights, const int32_t *bias, int8_t *output)
{
    const int32_t groups = shape->input_channels / shape->filter_channels;
    const int32_t channels_per_group = shape->output_channels / groups;
    const int32_t filter_size = shape->filter_height * shape->filter_width * shape->filter_channels;
    int32_t channel = 0;
    for (int32_t group = 0; group < groups; ++group, image += shape->filter_channels) {
        for (int32_t i = 0; i < channels_per_group; ++i, ++channel, weights += filter_size) {
            uint32_t sum = convolve_pixel(params, shape, taps, image, weights);
            if (bias)
                sum += (uint32_t)bias[channel];
            *output++ = kn_finish_sum(scales, channel, sum, params->rounding, params->output_offset,
                                      params->activation_min, params->activation_max);
        }
    }
    return output;
}

void kn_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output)
{
    const int32_t image_size = shape->input_height * shape->input_width * shape->input_channels;
    kn_window taps;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += image_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            taps.origin_y = y * params->stride_height - params->pad_top;
            kn_clip_taps(taps.origin_y, shape->filter_height, params->dilation_height, shape->input_height,
                         &taps.first_y, &taps.last_y);
            for (int32_t x = 0; x < shape->output_width; ++x) {
                taps.origin_x = x * params->stride_width - params->pad_left;
                kn_clip_taps(taps.origin_x, shape->filter_width, params->dilation_width, shape->input_width,
                             &taps.first_x, &taps.last_x);
                output = convolve_channels(params, shape, scales, &taps, input, weights, bias, output);
            }
        }
    }
}
