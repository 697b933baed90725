/* DEPTHWISE_CONV_2D. */
#include "kernels.h"
#include "taps.h"

/* Sum over the taps inside the input for one output channel. `image` and `weights` are at the first of these taps;
 * from one row of taps to the next it is `row` and `weights_row` elements, from one column to the next `column` and
 * `weights_column`. */
typedef struct {
    int32_t rows, columns;
    int32_t row, column;
    int32_t weights_row, weights_column;
} walk;

static uint32_t convolve_channel(const kn_conv_params *params, const walk *taps, const int8_t *image,
                                 const int8_t *weights)
{
    const int32_t input_offset = params->input_offset, weights_offset = params->weights_offset;
    const int32_t column = taps->column, weights_column = taps->weights_column;
    uint32_t sum = 0;
    for (int32_t rows = taps->rows; rows > 0; --rows, image += taps->row, weights += taps->weights_row) {
        const int8_t *value = image, *factor = weights;
        for (int32_t columns = taps->columns; columns > 0; --columns, value += column, factor += weights_column)
            sum += (uint32_t)((*value + input_offset) * (*factor + weights_offset));
    }
    return sum;
}

static int8_t *convolve_pixel(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                              const walk *taps, const int8_t *image, const int8_t *weights, const int32_t *bias,
                              int8_t *output)
{
    int32_t channel = 0;
    for (int32_t input_channel = 0; input_channel < shape->input_channels; ++input_channel, ++image) {
        for (int32_t i = 0; i < shape->filter_channels; ++i, ++channel, ++weights) {
            uint32_t sum = convolve_channel(params, taps, image, weights);
            if (bias)
                sum += (uint32_t)bias[channel];
            *output++ = kn_finish_sum(scales, channel, sum, params->rounding, params->output_offset,
                                      params->activation_min, params->activation_max);
        }
    }
    return output;
}

void kn_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                          const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output)
{
    const int32_t input_row = shape->input_width * shape->input_channels;
    const int32_t weights_row = shape->filter_width * shape->output_channels;
    walk taps = {0,
                 0,
                 params->dilation_height * input_row,
                 params->dilation_width * shape->input_channels,
                 weights_row,
                 shape->output_channels};
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * input_row) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            kn_window window;
            window.origin_y = y * params->stride_height - params->pad_top;
            kn_clip_taps(window.origin_y, shape->filter_height, params->dilation_height, shape->input_height,
                         &window.first_y, &window.last_y);
            for (int32_t x = 0; x < shape->output_width; ++x) {
                int32_t image_at = 0, weights_at = 0;
                window.origin_x = x * params->stride_width - params->pad_left;
                kn_clip_taps(window.origin_x, shape->filter_width, params->dilation_width, shape->input_width,
                             &window.first_x, &window.last_x);
                taps.rows = window.last_y - window.first_y;
                taps.columns = window.last_x - window.first_x;
                if (taps.rows > 0 && taps.columns > 0) {
                    image_at = (window.origin_y + window.first_y * params->dilation_height) * input_row +
                               (window.origin_x + window.first_x * params->dilation_width) * shape->input_channels;
                    weights_at = window.first_y * weights_row + window.first_x * shape->output_channels;
                } else {
                    taps.rows = 0;
                }
                output =
                    convolve_pixel(params, shape, scales, &taps, input + image_at, weights + weights_at, bias, output);
            }
        }
    }
}
