/* DEPTHWISE_CONV_2D for MVE: eight channels at a time, widened to 16 bits as they are loaded.
 *
 * Products of even and of odd lanes go into two vectors of sums; their scales are loaded the same way (VLD2), and
 * VQMOVN brings the outputs back into order. Taps that hang over the edge are left out, as in the portable kernel: the
 * sums start at the bias, and nothing is gathered. */
#include "fast.h"

#if defined(__ARM_FEATURE_MVE)

#include "fast_mve.h"
#include "taps.h"

/* The taps of one output pixel that lie inside. `values` and `weights` are at the first of them. */
typedef struct {
    const int8_t *values, *weights;
    int32_t rows, columns;
} window;

typedef struct {
    const kn_conv_params *params;
    const kn_conv_shape *shape;
    const int32_t *bias; /* or NULL */
    mve_ending ending;
    int32_t row, step;   /* from one row of taps to the next in the input, in bytes; from one tap to the next */
    int32_t weights_row; /* the same of the weights */
} depthwise;

typedef struct {
    int32x4_t even, odd;
} sums_of_eight;

/* The sums of eight channels. `with_offset`: the weights have one. `repeated`: of those in `lanes` only; `sources` says
 * which input each lane takes. */
static inline __attribute__((always_inline)) sums_of_eight add_window(const depthwise *d, const window *w,
                                                                      sums_of_eight sums, int32_t channel,
                                                                      int with_offset, int repeated, mve_pred16_t lanes,
                                                                      uint16x8_t sources)
{
    const int16_t input_offset = (int16_t)d->params->input_offset, offset = (int16_t)d->params->weights_offset;
    const int32_t step = d->step, channels = d->shape->output_channels;
    const int8_t *row = w->values + (repeated ? 0 : channel), *weights_row = w->weights + channel;
    for (int32_t rows = w->rows; rows > 0; --rows, row += d->row, weights_row += d->weights_row) {
        const int8_t *value = row, *weight = weights_row;
        for (int32_t columns = w->columns; columns > 0; --columns, value += step, weight += channels) {
            int16x8_t values = repeated ? vldrbq_gather_offset_z_s16(value, sources, lanes) : vldrbq_s16(value);
            int16x8_t factors = repeated ? vldrbq_z_s16(weight, lanes) : vldrbq_s16(weight);
            values = vaddq_n_s16(values, input_offset);
            if (with_offset)
                factors = vaddq_n_s16(factors, offset);
            sums.even = vaddq_s32(sums.even, vmullbq_int_s16(values, factors));
            sums.odd = vaddq_s32(sums.odd, vmulltq_int_s16(values, factors));
        }
    }
    return sums;
}

/* Eight channels at a time; the last eight end with the last channel: some are computed twice. */
static __attribute__((optimize("O2"))) void eights(const depthwise *d, const window *w, int8_t *output)
{
    const int32_t channels = d->shape->output_channels;
    const int16x8_t low = vdupq_n_s16((int16_t)d->ending.low), high = vdupq_n_s16((int16_t)d->ending.high);
    for (int32_t channel = 0; channel < channels; channel += 8) {
        if (channel > channels - 8)
            channel = channels - 8;
        sums_of_eight sums = {vdupq_n_s32(0), vdupq_n_s32(0)};
        if (d->bias) {
            const int32x4x2_t bias = vld2q_s32(d->bias + channel);
            sums = (sums_of_eight){bias.val[0], bias.val[1]};
        }
        sums = d->params->weights_offset ? add_window(d, w, sums, channel, 1, 0, 0, vdupq_n_u16(0))
                                         : add_window(d, w, sums, channel, 0, 0, 0, vdupq_n_u16(0));
        const int32_t at = channel * d->ending.step;
        const int32x4x2_t multipliers = vld2q_s32(d->ending.multipliers + at);
        sums.even = vqrdmulhq_s32(sums.even, multipliers.val[0]);
        sums.odd = vqrdmulhq_s32(sums.odd, multipliers.val[1]);
        const int32x4x2_t shifts = vld2q_s32(d->ending.shifts + at);
        sums.even = mve_shift_right(sums.even, shifts.val[0]);
        sums.odd = mve_shift_right(sums.odd, shifts.val[1]);
        /* Both halves of every lane are written over. Saturated where it no longer matters: the range of the
         * activation is narrower. */
        int16x8_t outputs = vreinterpretq_s16_s32(sums.even);
        outputs = vqmovntq_s32(vqmovnbq_s32(outputs, sums.even), sums.odd);
        outputs = vqaddq_n_s16(outputs, (int16_t)d->ending.output_offset);
        vstrbq_s16(output + channel, vminq_s16(vmaxq_s16(outputs, low), high));
    }
}

/* What `eights` does not take: few channels, one rounding or shifts to the left, several outputs of one input. */
static void others(const depthwise *d, const window *w, int8_t *output)
{
    const int32_t channels = d->shape->output_channels, depth = d->shape->filter_channels;
    int32_t bias[8], values[8];
    for (int32_t channel = 0; channel < channels; channel += 8) {
        const int32_t count = channels - channel < 8 ? channels - channel : 8;
        uint16_t sources[8] = {0};
        for (int32_t i = 0; i < 8; ++i) {
            sources[i] = (uint16_t)((channel + (i < count ? i : 0)) / depth);
            bias[i] = d->bias && i < count ? d->bias[channel + i] : 0;
        }
        const int32x4x2_t start = vld2q_s32(bias);
        const sums_of_eight sums = add_window(d, w, (sums_of_eight){start.val[0], start.val[1]}, channel, 1, 1,
                                              vctp16q((uint32_t)count), vldrhq_u16(sources));
        const int32x4x2_t both = {{sums.even, sums.odd}};
        vst2q_s32(values, both);
        for (int32_t i = 0; i < count; ++i) {
            const int32_t scale = (channel + i) * d->ending.step;
            output[channel + i] =
                kn_requantize_to_int8(values[i], d->ending.multipliers[scale], d->ending.shifts[scale],
                                      d->ending.rounding, d->ending.output_offset, d->ending.low, d->ending.high);
        }
    }
}

uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    (void)params;
    (void)shape;
    return 0;
}

int fast_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                           const int8_t *input, const int8_t *weights, const int32_t *bias, const int32_t *folded,
                           int8_t *scratch, uint32_t scratch_bytes, int8_t *output)
{
    const int32_t channels = shape->output_channels, row_bytes = shape->input_width * shape->input_channels;
    depthwise d = {.params = params,
                   .shape = shape,
                   .bias = bias,
                   .row = params->dilation_height * row_bytes,
                   .step = params->dilation_width * shape->input_channels,
                   .weights_row = shape->filter_width * channels};
    int32_t first_y, last_y, first_x, last_x;
    (void)folded;
    (void)scratch;
    (void)scratch_bytes;
    if (shape->input_channels > 1 << 16) /* a lane of sources has 16 bits */
        return 0;
    mve_make_ending(&d.ending, scales, channels, params->rounding, params->output_offset, params->activation_min,
                    params->activation_max);
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * row_bytes) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            kn_clip_taps(origin_y, shape->filter_height, params->dilation_height, shape->input_height, &first_y,
                         &last_y);
            for (int32_t x = 0; x < shape->output_width; ++x, output += channels) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                kn_clip_taps(origin_x, shape->filter_width, params->dilation_width, shape->input_width, &first_x,
                             &last_x);
                const window w = {input + (origin_y + first_y * params->dilation_height) * row_bytes +
                                      origin_x * shape->input_channels + first_x * d.step,
                                  weights + first_y * d.weights_row + first_x * channels, last_y - first_y,
                                  last_x - first_x};
                if (channels >= 8 && shape->filter_channels == 1 && d.ending.is_right)
                    eights(&d, &w, output);
                else
                    others(&d, &w, output);
            }
        }
    }
    return 1;
}

#endif
