/* DEPTHWISE_CONV_2D for cores with the DSP extension: four channels at a time, over all pixels.
 *
 * The weights of the four channels are widened to pairs of 16 bits once, in scratch, with their offset added. A tap is
 * then one word of inputs, widened with its offset, one LDRD of weights and four multiplications. Taps that hang over
 * the edge are left out, as in the portable kernel: the sums start at the bias, and nothing is gathered. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"
#include "taps.h"

/* What dsp_scale needs of one channel, in the order in which LDM brings it. */
typedef struct {
    int32_t multiplier, nudge, right;
} scaling;

/* Four channels. */
typedef struct {
    int32_t first;
    int32_t source[4]; /* where each one's input lies, in elements */
    int32_t start[4];  /* bias */
    int32_t is_short;  /* every accumulator and its scale suits dsp_scale */
    scaling scalings[4];
} group;

typedef struct {
    const kn_conv_params *params;
    const kn_conv_shape *shape;
    dsp_ending ending;
    int32_t row;  /* from one row of taps to the next in the input, in bytes */
    int32_t step; /* and from one tap of a row to the next */
    int32_t input_pair;
    const int32_t *factors; /* two words a tap: weights 0 and 2 of the group, 1 and 3 */
} depthwise;

typedef struct {
    int32_t s0, s1, s2, s3;
} four_sums;

static int32_t pair_of(int32_t offset)
{
    return (int32_t)(((uint32_t)offset << 16) | ((uint32_t)offset & 0xFFFFu));
}

static inline __attribute__((always_inline)) int32_t odd_plus(int32_t offset, uint32_t word)
{
    int32_t pair; /* the compiler has no rotation within SXTAB16 */
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(offset), "r"(word));
    return pair;
}

static void widen_weights(const depthwise *d, const int8_t *weights, int32_t *to)
{
    const int32_t offset = pair_of(d->params->weights_offset);
    for (int32_t taps = d->shape->filter_height * d->shape->filter_width; taps > 0; --taps) {
        const uint32_t word = fast_load(weights);
        *to++ = __sxtab16(offset, (int8x4_t)word);
        *to++ = odd_plus(offset, word);
        weights += d->shape->output_channels;
    }
}

static void make_group(group *g, const depthwise *d, int32_t first, const int32_t *bias)
{
    g->first = first;
    /* A product of two widened values is below 2^16: sums of so few stay below 2^28. */
    g->is_short = d->ending.is_short && d->shape->filter_height * d->shape->filter_width <= 4096;
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t scale = (first + i) * d->ending.step, shift = d->ending.scales->shifts[scale];
        g->source[i] = d->shape->filter_channels == 1 ? first + i : (first + i) / d->shape->filter_channels;
        g->start[i] = bias ? bias[first + i] : 0;
        g->is_short &= (uint32_t)g->start[i] + (1u << 29) < 1u << 30;
        g->scalings[i].multiplier = d->ending.scales->multipliers[scale];
        g->scalings[i].nudge = d->ending.is_short ? d->ending.nudge * (1 << ~shift) : 0;
        g->scalings[i].right = -shift;
    }
}

/* A window of any size: `rows` rows of `columns` taps. */
static __attribute__((noinline)) four_sums add_window(const depthwise *d, const group *g, const int8_t *row,
                                                      const int32_t *factors, int32_t rows, int32_t columns)
{
    const int32_t offset = d->input_pair, step = d->step;
    const int repeated = d->shape->filter_channels != 1;
    int32_t s0 = g->start[0], s1 = g->start[1], s2 = g->start[2], s3 = g->start[3];
    for (; rows > 0; --rows, row += d->row, factors += 2 * d->shape->filter_width) {
        const int8_t *values = row;
        const int32_t *factor = factors;
        for (int32_t left = columns; left > 0; --left, values += step, factor += 2) {
            int32_t even, odd;
            if (repeated) { /* a channel of the input has several of the output: its bytes come one by one */
                const uint32_t evens = (uint32_t)(uint8_t)values[g->source[0]] | (uint32_t)(uint8_t)values[g->source[2]]
                                                                                     << 16;
                const uint32_t odds = (uint32_t)(uint8_t)values[g->source[1]] | (uint32_t)(uint8_t)values[g->source[3]]
                                                                                    << 16;
                even = __sxtab16(offset, (int8x4_t)evens);
                odd = __sxtab16(offset, (int8x4_t)odds);
            } else {
                const uint32_t word = fast_load(values + g->first);
                even = __sxtab16(offset, (int8x4_t)word);
                odd = odd_plus(offset, word);
            }
            s0 = __smlabb(even, factor[0], s0);
            s2 = __smlatt(even, factor[0], s2);
            s1 = __smlabb(odd, factor[1], s1);
            s3 = __smlatt(odd, factor[1], s3);
        }
    }
    return (four_sums){s0, s1, s2, s3};
}

#define TAP(address)                                                                                                   \
    "ldr %[v], [%[in]" address "]\n\tldrd %[f], %[h], [%[w]], #8\n\t"                                                  \
    "sxtab16 %[e], %[off], %[v]\n\tsxtab16 %[v], %[off], %[v], ror #8\n\t"                                             \
    "smlabb %[s0], %[e], %[f], %[s0]\n\tsmlatt %[s2], %[e], %[f], %[s2]\n\t"                                           \
    "smlabb %[s1], %[v], %[h], %[s1]\n\tsmlatt %[s3], %[v], %[h], %[s3]\n\t"
#define ROWS(taps)                                                                                                     \
    __asm__ volatile("1:\n\t" taps "add %[in], %[row]\n\tsubs %[n], #1\n\tbne 1b"                                      \
                     : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [in] "+r"(values),                  \
                       [w] "+r"(factors), [n] "+r"(rows), [v] "=&r"(v), [e] "=&r"(e), [f] "=&r"(f), [h] "=&r"(h)       \
                     : [step] "r"(step), [row] "r"(row), [off] "r"(offset)                                             \
                     : "cc", "memory")

/* `rows` rows of three taps, which most filters have; with `two`, of two taps of three, which they have at an edge. */
static inline __attribute__((always_inline)) four_sums add_threes(const int32_t *start, int32_t offset,
                                                                  const int8_t *values, int32_t step, int32_t row,
                                                                  const int32_t *factors, int32_t rows, int two)
{
    int32_t s0 = start[0], s1 = start[1], s2 = start[2], s3 = start[3], v, e, f, h;
    if (two)
        ROWS(TAP("") TAP(", %[step]") "add %[w], #8\n\t");
    else
        ROWS(TAP("") TAP(", %[step]") TAP(", %[step], lsl #1"));
    return (four_sums){s0, s1, s2, s3};
}

#define SCALE(sum)                                                                                                     \
    "ldmia %[at]!, {r3, r4, r5}\n\tlsl %[" sum "], #1\n\tsmmulr %[" sum "], %[" sum "], r3\n\t"                        \
    "add %[" sum "], %[" sum "], %[" sum "], asr #31\n\tadd %[" sum "], r4\n\tasr %[" sum "], r5\n\t"

static inline __attribute__((always_inline)) uint32_t finish(const depthwise *d, const group *g, four_sums s)
{
    const scaling *at = g->scalings;
    if (!g->is_short)
        return dsp_finish_channels(&d->ending, g->first, s.s0, s.s1, s.s2, s.s3);
    /* dsp_scale, four times. */
    __asm__(SCALE("a") SCALE("b") SCALE("c") SCALE("e")
            : [a] "+r"(s.s0), [b] "+r"(s.s1), [c] "+r"(s.s2), [e] "+r"(s.s3), [at] "+r"(at)
            : "m"(*(const scaling(*)[4])at)
            : "r3", "r4", "r5");
    return dsp_pack(d->ending.low, d->ending.high, s.s0, s.s1, s.s2, s.s3);
}

/* One row of pixels: those whose windows of three columns are inside sideways one way, the others another. */
static void convolve_row(const depthwise *d, const group *g, const int8_t *row, const int32_t *factors, int32_t rows,
                         int8_t *output)
{
    const kn_conv_shape *const shape = d->shape;
    const int32_t stride = d->params->stride_width, dilation = d->params->dilation_width;
    const int32_t channels = shape->input_channels, width = shape->input_width;
    const int threes = shape->filter_width == 3 && shape->filter_channels == 1 && rows > 0;
    int32_t origin = -d->params->pad_left, first, last;
    for (int32_t x = shape->output_width; x > 0; --x, output += shape->output_channels, origin += stride) {
        const int8_t *at = row + origin * channels;
        const int left = origin < 0, right = origin >= width - 2 * dilation;
        four_sums s;
        if (threes && !left && !right) {
            s = add_threes(g->start, d->input_pair, at + g->first, d->step, d->row, factors, rows, 0);
        } else if (threes && left != right && origin >= -dilation && origin < width - dilation) {
            at += left ? d->step : 0;
            s = add_threes(g->start, d->input_pair, at + g->first, d->step, d->row, factors + 2 * left, rows, 1);
        } else {
            kn_clip_taps(origin, shape->filter_width, dilation, width, &first, &last);
            s = add_window(d, g, at + first * d->step, factors + 2 * first, rows, last - first);
        }
        fast_store(output, finish(d, g, s));
    }
}

/* All pixels of one image. */
static void convolve_group(const depthwise *d, const group *g, const int8_t *image, int8_t *output)
{
    const kn_conv_params *const params = d->params;
    const kn_conv_shape *const shape = d->shape;
    int32_t origin = -params->pad_top, first, last;
    for (int32_t y = shape->output_height; y > 0; --y, origin += params->stride_height) {
        kn_clip_taps(origin, shape->filter_height, params->dilation_height, shape->input_height, &first, &last);
        const int32_t at = (origin + first * params->dilation_height) * shape->input_width * shape->input_channels;
        convolve_row(d, g, image + at, d->factors + 2 * first * shape->filter_width, last - first, output + g->first);
        output += shape->output_width * shape->output_channels;
    }
}

uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    (void)params;
    return shape->output_channels < 4 ? 0 : 8u * (uint32_t)(shape->filter_height * shape->filter_width);
}

int fast_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                           const int8_t *input, const int8_t *weights, const int32_t *bias, const int32_t *folded,
                           int8_t *scratch, uint32_t scratch_bytes, int8_t *output)
{
    const int32_t channels = shape->output_channels;
    const int32_t row_bytes = shape->input_width * shape->input_channels;
    int32_t *const factors = (int32_t *)(void *)scratch;
    (void)folded;
    if (channels < 4 || scratch_bytes < fast_depthwise_conv_2d_scratch(params, shape))
        return 0;
    const depthwise d = {params,
                         shape,
                         dsp_make_ending(scales, channels, params->rounding, params->output_offset,
                                         params->activation_min, params->activation_max),
                         params->dilation_height * row_bytes,
                         params->dilation_width * shape->input_channels,
                         pair_of(params->input_offset),
                         factors};
    group g;
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last four end with the last channel: some are computed twice. */
        const int32_t first = channel > channels - 4 ? channels - 4 : channel;
        const int8_t *image = input;
        int8_t *to = output;
        make_group(&g, &d, first, bias);
        widen_weights(&d, weights + first, factors);
        for (int32_t batch = 0; batch < shape->batches; ++batch) {
            convolve_group(&d, &g, image, to);
            image += shape->input_height * row_bytes;
            to += shape->output_height * shape->output_width * channels;
        }
    }
    return 1;
}

#endif
