/* DEPTHWISE_CONV_2D for cores with the DSP extension: four channels at a time.
 *
 * Each tap is one word of inputs and one of weights, widened to pairs of 16 bits and multiplied half by half. The
 * weights' offset goes into the widening (SXTAB16) at no cost. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"

/* All channels of one pixel; `taps` is the window's first tap, `row_bytes` the way from one row of taps to the next.
 * All columns of a row lie output_channels bytes apart, in window and weights. */
static __attribute__((optimize("O2"))) void multiply_channels(const dsp_ending *ending, const kn_conv_shape *shape,
                                                              const int8_t *taps, int32_t row_bytes,
                                                              const int8_t *weights, const int32_t *folded,
                                                              int32_t weights_offset, int32_t constant, int8_t *output)
{
    const int32_t channels = shape->output_channels, row_end = shape->filter_width * channels;
    const int32_t offset_pair = (int32_t)(((uint32_t)weights_offset << 16) | ((uint32_t)weights_offset & 0xFFFFu));
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last four end with the last channel: some are computed twice. */
        if (channel > channels - 4)
            channel = channels - 4;
        const int8_t *values = taps + channel, *factors = weights + channel;
        int32_t s0 = kn_wrap_add(folded[channel], constant), s1 = kn_wrap_add(folded[channel + 1], constant);
        int32_t s2 = kn_wrap_add(folded[channel + 2], constant), s3 = kn_wrap_add(folded[channel + 3], constant);
        for (int32_t rows = shape->filter_height; rows > 0; --rows, values += row_bytes, factors += row_end) {
            int32_t at = row_end;
            /* From the last column to the first, so that the end is 0. */
            do {
                at -= channels;
                const uint32_t value = fast_load(values + at), factor = fast_load(factors + at);
                const int32_t evens = dsp_even(value), odds = dsp_odd(value);
                const int32_t even_factors = __sxtab16(offset_pair, (int8x4_t)factor);
                int32_t odd_factors;
                __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(odd_factors) : "r"(offset_pair), "r"(factor));
                s0 = __smlabb(evens, even_factors, s0);
                s2 = __smlatt(evens, even_factors, s2);
                s1 = __smlabb(odds, odd_factors, s1);
                s3 = __smlatt(odds, odd_factors, s3);
            } while (at != 0);
        }
        fast_store(output + channel, dsp_finish_channels(ending, channel, s0, s1, s2, s3));
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
    const dsp_ending ending = dsp_make_ending(scales, shape->output_channels, params->rounding, params->output_offset,
                                              params->activation_min, params->activation_max);
    const int32_t row_bytes = shape->input_width * shape->input_channels;
    const uint32_t constant = fast_offset_product(params, shape);
    if (shape->output_channels < 4 || scratch_bytes < fast_depthwise_conv_2d_scratch(params, shape))
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
                multiply_channels(&ending, shape, taps, step, weights, folded, params->weights_offset,
                                  (int32_t)constant, output);
            }
        }
    }
    return 1;
}

#endif
