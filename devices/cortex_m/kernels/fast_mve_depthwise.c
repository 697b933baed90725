/* DEPTHWISE_CONV_2D for MVE: four channels at a time, widened to 32 bits as they are loaded. */
#include "fast.h"

#if defined(__ARM_FEATURE_MVE)

#include "fast_mve.h"

/* All channels of one pixel; `taps` is the window's first tap, `row_bytes` the way from one row of taps to the next.
 * All columns of a row lie output_channels bytes apart, in window and weights. */
static __attribute__((optimize("O2"))) void multiply_channels(const mve_ending *ending, const kn_conv_shape *shape,
                                                              const kn_channel_scales *scales, const int8_t *taps,
                                                              int32_t row_bytes, const int8_t *weights,
                                                              const int32_t *folded, int32_t weights_offset,
                                                              int32_t constant, int8_t *output)
{
    const int32_t channels = shape->output_channels;
    for (int32_t channel = 0; channel < channels; channel += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)(channels - channel));
        int32x4_t sums = vaddq_n_s32(vldrwq_z_s32(folded + channel, lanes), constant);
        const int8_t *factor = weights + channel, *row = taps + channel;
        for (int32_t y = shape->filter_height; y > 0; --y, row += row_bytes) {
            const int8_t *value = row;
            for (int32_t x = shape->filter_width; x > 0; --x, value += channels, factor += channels) {
                const int32x4_t factors = vaddq_n_s32(vldrbq_z_s32(factor, lanes), weights_offset);
                sums = vaddq_s32(sums, vmulq_s32(vldrbq_z_s32(value, lanes), factors));
            }
        }
        mve_finish(ending, scales, channel, channels - channel, sums, output + channel);
    }
}

uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return fast_has_windows(params, shape) && fast_lies_inside(params, shape)
               ? 0
               : fast_column_bytes(shape, shape->output_channels);
}

int fast_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                           const int8_t *input, const int8_t *weights, const int32_t *folded, int8_t *scratch,
                           uint32_t scratch_bytes, int8_t *output)
{
    const mve_ending ending = {params->rounding, params->output_offset, params->activation_min, params->activation_max};
    const int32_t row_bytes = shape->input_width * shape->input_channels;
    const uint32_t constant = fast_offset_product(params, shape);
    if (scratch_bytes < fast_depthwise_conv_2d_scratch(params, shape))
        return 0;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * row_bytes) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x, output += shape->output_channels) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                const int8_t *taps = scratch;
                int32_t step = shape->filter_width * shape->output_channels;
                if (fast_has_windows(params, shape) && fast_window_inside(params, shape, origin_y, origin_x)) {
                    taps = input + origin_y * row_bytes + origin_x * shape->input_channels;
                    step = params->dilation_height * row_bytes;
                } else {
                    fast_gather(params, shape, shape->filter_channels, origin_y, origin_x, input, scratch);
                }
                multiply_channels(&ending, shape, scales, taps, step, weights, folded, params->weights_offset,
                                  (int32_t)constant, output);
            }
        }
    }
    return 1;
}

#endif
