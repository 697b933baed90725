/* CONV_2D for cores with the DSP extension: four output pixels at a time.
 *
 * The four columns of inputs are widened to 16 bits once and lie interleaved in scratch, so that one LDM brings the same taps of four
 * pixels; each word of weights is then loaded and widened once for sixteen multiplications. Per four taps: 13 instructions. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"

enum {
    PIXELS = 4,
    BLOCK_WORDS = 2 * PIXELS, /* of four taps: taps 0 and 2 of each pixel, then taps 1 and 3 */
    WIDE_LIMIT = 8192         /* bytes of scratch: longer columns are not worth that much memory */
};

/* Widens one column of `taps` bytes into its place among the four that start at `to`. */
static void widen(const int8_t *column, int32_t taps, int32_t *to)
{
    for (; taps >= 4; taps -= 4, column += 4, to += BLOCK_WORDS) {
        const uint32_t word = fast_load(column);
        to[0] = dsp_even(word);
        to[PIXELS] = dsp_odd(word);
    }
    if (taps) {
        const uint32_t word = dsp_load_tail(column, taps);
        to[0] = dsp_even(word);
        to[PIXELS] = dsp_odd(word);
    }
}

#define HALF(widened)                                                                                                                \
    "ldmia %[in]!, {r3, r4, r5, r6}\n\t"                                                                                             \
    "smlad %[s0], r3, " widened ", %[s0]\n\tsmlad %[s1], r4, " widened ", %[s1]\n\t"                                                 \
    "smlad %[s2], r5, " widened ", %[s2]\n\tsmlad %[s3], r6, " widened ", %[s3]\n\t"
#define FOUR_TAPS                                                                                                                    \
    "ldr %[word], [%[w]], #4\n\tsxtb16 %[even], %[word]\n\tsxtb16 %[word], %[word], ror #8\n\t" HALF("%[even]") HALF("%[word]")

/* sums[p] += columns[p] * weights over `taps` taps. */
static inline __attribute__((always_inline)) void multiply(int32_t taps, const int32_t *columns, const int8_t *weights, int32_t sums[4])
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    int32_t blocks = taps >> 2;
    uint32_t word, even;
    if (blocks)
        __asm__ volatile("lsrs %[n], #1\n\t"
                         "bcc 2f\n\t" FOUR_TAPS "beq 3f\n"
                         "2:\n\t" FOUR_TAPS FOUR_TAPS "subs %[n], #1\n\t"
                         "bne 2b\n"
                         "3:"
                         : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [in] "+r"(columns), [w] "+r"(weights),
                           [n] "+l"(blocks), [word] "=&r"(word), [even] "=&r"(even)
                         :
                         : "r3", "r4", "r5", "r6", "cc", "memory");
    if (taps & 3) {
        word = dsp_load_tail(weights, taps & 3);
        const int32_t evens = dsp_even(word), odds = dsp_odd(word);
        s0 = __smlad(columns[4], odds, __smlad(columns[0], evens, s0));
        s1 = __smlad(columns[5], odds, __smlad(columns[1], evens, s1));
        s2 = __smlad(columns[6], odds, __smlad(columns[2], evens, s2));
        s3 = __smlad(columns[7], odds, __smlad(columns[3], evens, s3));
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

/* All channels of four pixels that lie one after the other in the output; only the first `pixels` are written. */
static __attribute__((optimize("O2"))) void multiply_channels(const dsp_ending *ending, const kn_channel_scales *scales, int32_t channels,
                                                              int32_t taps, const int32_t *columns, const int8_t *weights,
                                                              const int32_t *folded, const uint32_t offset_sums[PIXELS],
                                                              int32_t pixels, int8_t *output)
{
    for (int32_t channel = 0; channel < channels; ++channel, weights += taps, ++output) {
        const int32_t at = scales->per_channel ? channel : 0;
        const dsp_scale scale = dsp_make_scale(ending, scales->multipliers[at], scales->shifts[at], folded[channel], taps);
        int32_t sums[PIXELS];
        for (int32_t p = 0; p < PIXELS; ++p)
            sums[p] = (int32_t)((uint32_t)folded[channel] + offset_sums[p]);
        multiply(taps, columns, weights, sums);
        if (scale.plain && pixels == PIXELS) {
            for (int32_t p = 0; p < PIXELS; ++p)
                output[p * channels] = (int8_t)kn_clamp(dsp_requantize(ending, &scale, sums[p]), ending->low, ending->high);
        } else {
            for (int32_t p = 0; p < pixels; ++p)
                output[p * channels] = dsp_finish(ending, &scale, sums[p]);
        }
    }
}

/* Bytes for one column of int8 where a window must be gathered, and for four widened ones. */
static uint32_t narrow_bytes(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return fast_is_column(params, shape) ? 0 : fast_column_bytes(shape, shape->input_channels);
}

static uint32_t wide_bytes(const kn_conv_shape *shape)
{
    return fast_column_bytes(shape, shape->input_channels) * (sizeof(int16_t) * PIXELS);
}

uint32_t fast_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    const uint32_t narrow = narrow_bytes(params, shape), both = narrow + wide_bytes(shape);
    if (shape->filter_channels != shape->input_channels)
        return 0;
    return both <= WIDE_LIMIT ? both : narrow;
}

int fast_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales, const int8_t *input,
                 const int8_t *weights, const int32_t *folded, int8_t *scratch, uint32_t scratch_bytes, int8_t *output)
{
    const dsp_ending ending = {params->rounding, params->output_offset, params->activation_min, params->activation_max};
    const int32_t channels = shape->output_channels;
    const int32_t taps = shape->filter_height * shape->filter_width * shape->input_channels;
    const uint32_t narrow = narrow_bytes(params, shape);
    const int wide = scratch_bytes >= narrow + wide_bytes(shape);
    int32_t *columns = (int32_t *)(void *)(scratch + narrow);
    uint32_t offset_sums[PIXELS] = {0};
    int32_t waiting = 0;
    if (shape->filter_channels != shape->input_channels || scratch_bytes < narrow || (!wide && channels < 4))
        return 0;
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                const int8_t *column = scratch;
                if (narrow)
                    fast_gather(params, shape, 1, origin_y, origin_x, input, scratch);
                else
                    column = input + (origin_y * shape->input_width + origin_x) * shape->input_channels;
                offset_sums[waiting] = dsp_offset_sum(params->input_offset, params->weights_offset, column, taps);
                if (!wide) {
                    dsp_rows(&ending, scales, channels, taps, column, weights, folded, offset_sums[0], output);
                    output += channels;
                    continue;
                }
                widen(column, taps, columns + waiting);
                if (++waiting == PIXELS) {
                    multiply_channels(&ending, scales, channels, taps, columns, weights, folded, offset_sums, PIXELS, output);
                    output += PIXELS * channels;
                    waiting = 0;
                }
            }
        }
        input += shape->input_height * shape->input_width * shape->input_channels;
    }
    if (waiting)
        multiply_channels(&ending, scales, channels, taps, columns, weights, folded, offset_sums, waiting, output);
    return 1;
}

#endif
