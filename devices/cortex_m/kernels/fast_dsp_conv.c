/* CONV_2D for cores with the DSP extension: four output pixels at a time.
 *
 * The four columns of inputs are widened to 16 bits once and lie interleaved in scratch, so that one LDM brings the
 * same taps of four pixels; each word of weights is then loaded and widened once for sixteen multiplications. Per
 * four taps: 13 instructions. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include <string.h>

#include "fast_dsp.h"

enum {
    PIXELS = 4,
    GROUP = 16,               /* channels whose sums wait on the stack: 256 bytes */
    BLOCK_WORDS = 2 * PIXELS, /* of four taps: taps 0 and 2 of each pixel, then taps 1 and 3 */
    WIDE_LIMIT = 8192,        /* bytes of scratch: longer columns are not worth that much memory */
    SHORT_COLUMN = 96         /* bytes of a column for which there is room on the stack */
};

static inline __attribute__((always_inline)) int32_t *widen_word(int32_t *to, uint32_t word)
{
    to[0] = dsp_even(word);
    to[PIXELS] = dsp_odd(word);
    return to + BLOCK_WORDS;
}

/* A run of whole words, widened. */
static inline __attribute__((always_inline)) void *take_wide(void *to, const int8_t *from, int32_t count, uint32_t zero)
{
    int32_t *at = to;
    if (!from) {
        for (; count > 0; count -= 4)
            at = widen_word(at, zero);
        return at;
    }
    if (count & 4) {
        at = widen_word(at, fast_load(from));
        from += 4;
    }
    for (count &= ~7; count > 0; count -= 8, from += 8)
        at = widen_word(widen_word(at, fast_load(from)), fast_load(from + 4));
    return at;
}

/* The column of one pixel into its place among the four that start at `to`. `bytes` is room for a column of bytes,
 * where that is longer than SHORT_COLUMN. */
static FAST_LOOPS void widen_window(const kn_conv_params *params, const kn_conv_shape *shape, int32_t origin_y,
                                    int32_t origin_x, const int8_t *image, int8_t *bytes, int32_t taps, int32_t *to)
{
    /* Runs of whole words need no room of bytes: whole pixels, or whole rows of a window that is inside sideways. */
    if (shape->input_channels % 4 == 0 ||
        (params->dilation_width == 1 && shape->filter_width * shape->input_channels % 4 == 0 &&
         fast_taps_inside(origin_x, shape->filter_width, 1, shape->input_width))) {
        fast_walk_window(params, shape, origin_y, origin_x, image, take_wide, to);
        return;
    }
    int8_t room[SHORT_COLUMN];
    if (taps <= SHORT_COLUMN)
        bytes = room;
    fast_gather(params, shape, origin_y, origin_x, image, bytes);
    to = take_wide(to, bytes, taps & ~3, 0);
    if (taps & 3)
        widen_word(to, dsp_load_tail(bytes + (taps & ~3), taps & 3));
}

/* weights_offset * (sum of a widened column's inputs and their offsets): what a weights' offset adds to every sum
 * over it. */
static uint32_t wide_offset_sum(const kn_conv_params *params, int32_t taps, const int32_t *column)
{
    int32_t sum = 0;
    for (int32_t tap = 0; tap < taps; tap += 4, column += BLOCK_WORDS)
        sum = __smlad(column[0], 0x00010001, __smlad(column[PIXELS], 0x00010001, sum));
    return (uint32_t)params->weights_offset * ((uint32_t)sum + (uint32_t)taps * (uint32_t)params->input_offset);
}

#define HALF(widened)                                                                                                  \
    "ldmia %[in]!, {r3, r4, r5, r6}\n\t"                                                                               \
    "smlad %[s0], r3, " widened ", %[s0]\n\tsmlad %[s1], r4, " widened ", %[s1]\n\t"                                   \
    "smlad %[s2], r5, " widened ", %[s2]\n\tsmlad %[s3], r6, " widened ", %[s3]\n\t"
#define FOUR_TAPS                                                                                                      \
    "ldr %[word], [%[w]], #4\n\tsxtb16 %[even], %[word]\n\tsxtb16 %[word], %[word], ror #8\n\t" HALF("%[even]")        \
        HALF("%[word]")

/* What a convolution is made of, for the loops below. */
typedef struct {
    const kn_conv_params *params;
    const kn_conv_shape *shape;
    const int8_t *weights;
    const int32_t *folded;
    int32_t taps; /* of one window */
    dsp_ending ending;
} convolution;

/* Accumulators of `count` channels of four pixels over `blocks` >= 1 words of taps, from the channel on whose folded
 * bias and weights are given: PIXELS words each. Rows of weights begin `taps` bytes apart.
 * 18 instructions a channel beside the blocks. What has no register is read from the stack. */
static __attribute__((noinline, optimize("O2"))) void multiply_words(int32_t blocks, int32_t taps, int32_t count,
                                                                     const int32_t *columns, const int8_t *weights,
                                                                     const int32_t *folded, int32_t *sums)
{
    /* Two blocks a turn; where their count is odd, the first turn begins in the middle: the lowest bit. */
    const int32_t turns = (blocks + 1) / 2 * 2 + (blocks & 1);
    const int32_t rest = taps - 4 * blocks;
    const int32_t *const end = folded + count;
    const uintptr_t place = (uintptr_t)sums - 4 * (uintptr_t)folded; /* sums move on four times as fast */
    int32_t s0, s1, s2, s3, in, n;
    uint32_t word, even;
    __asm__ volatile("1:\n\t"
                     "ldr %[s0], [%[folded]], #4\n\t"
                     "ldr %[in], %[columns]\n\t"
                     "ldr %[n], %[turns]\n\t"
                     "mov %[s1], %[s0]\n\tmov %[s2], %[s0]\n\tmov %[s3], %[s0]\n\t"
                     "lsrs %[n], #1\n\t"
                     "bcs 3f\n"
                     "2:\n\t" FOUR_TAPS "3:\n\t" FOUR_TAPS "subs %[n], #1\n\t"
                     "bne 2b\n\t"
                     "ldr r3, %[place]\n\tldr r4, %[end]\n\tldr r5, %[rest]\n\t"
                     "add r3, r3, %[folded], lsl #2\n\tadd %[w], r5\n\t"
                     "cmp %[folded], r4\n\t"
                     "strd %[s0], %[s1], [r3, #-16]\n\tstrd %[s2], %[s3], [r3, #-8]\n\t"
                     "bne 1b"
                     : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [in] "=&r"(in),
                       [w] "+r"(weights), [n] "=&r"(n), [word] "=&r"(word), [even] "=&r"(even), [folded] "+r"(folded)
                     : [columns] "m"(columns), [turns] "m"(turns), [place] "m"(place), [end] "m"(end), [rest] "m"(rest)
                     : "r3", "r4", "r5", "r6", "cc", "memory");
}

/* The same for two taps and more. A row's last word that is not whole is read with what follows it, where the columns
 * are 0; only behind the last row of all there is nothing, so `is_last` takes that apart. */
static void multiply(int32_t taps, int32_t count, const int32_t *columns, const int8_t *weights, const int32_t *folded,
                     int32_t *sums, int is_last)
{
    const int32_t blocks = taps >> 2, rest = taps & 3, beside = count - (is_last && rest);
    if (beside)
        multiply_words((taps + 3) >> 2, taps, beside, columns, weights, folded, sums);
    if (beside == count)
        return;
    sums += beside * PIXELS;
    weights += beside * taps;
    for (int32_t i = 0; i < PIXELS; ++i)
        sums[i] = folded[beside];
    if (blocks)
        multiply_words(blocks, taps, 1, columns, weights, folded + beside, sums);
    const uint32_t word = dsp_load_tail(weights + (taps & ~3), rest);
    columns += blocks * BLOCK_WORDS;
    for (int32_t i = 0; i < PIXELS; ++i)
        sums[i] = __smlad(columns[PIXELS + i], dsp_odd(word), __smlad(columns[i], dsp_even(word), sums[i]));
}

/* dsp_requantize and dsp_pack for four sums of one channel; then one byte for each of four pixels, which lie `way`
 * bytes apart. */
#define SCALE(what) what("r3") what("r4") what("r5") what("r6")
#define DOUBLE(sum) "lsl " sum ", #1\n\t"
#define MULTIPLY(sum) "smmulr " sum ", " sum ", %[t1]\n\tadd " sum ", " sum ", " sum ", asr #31\n\t"
#define SHIFT(sum) "add " sum ", %[t2]\n\tasr " sum ", %[t3]\n\tssat " sum ", #8, " sum "\n\t"

/* What the loop in `finish` reads beside its registers, in this order. */
typedef struct {
    int32_t nudge;
    uint32_t low, high;
    int32_t way;
} finishing;

/* `count` channels of four pixels, for accumulators and scales that suit dsp_requantize. */
static __attribute__((optimize("O2"))) void finish_short(const finishing *context, int32_t count, const int32_t *sums,
                                                         const int32_t *multipliers, const int32_t *shifts,
                                                         int8_t *output)
{
    int32_t t1, t2, t3;
    __asm__ volatile(
        "1:\n\t"
        "ldr %[t1], [%[multipliers]], #4\n\tldr %[t3], [%[shifts]], #4\n\tldr %[t2], [%[context]]\n\t"
        "mvn r3, %[t3]\n\tlsl %[t2], r3\n\trsb %[t3], %[t3], #0\n\t"
        "ldmia %[sums]!, {r3, r4, r5, r6}\n\t" SCALE(DOUBLE) SCALE(MULTIPLY) SCALE(
            SHIFT) "pkhbt r3, r3, r5, lsl #16\n\tpkhbt r4, r4, r6, lsl #16\n\tuxtb16 r3, r3\n\tuxtb16 r4, r4\n\t"
                   "orr r3, r3, r4, lsl #8\n\tldrd %[t1], %[t2], [%[context], #4]\n\t"
                   "ssub8 %[t3], r3, %[t1]\n\tsel r3, r3, %[t1]\n\tssub8 %[t3], r3, %[t2]\n\tsel r3, %[t2], r3\n\t"
                   "ldr %[t1], [%[context], #12]\n\t"
                   "lsr r4, r3, #8\n\tlsr r5, r3, #16\n\tlsr r6, r3, #24\n\t"
                   "strb r4, [%[out], %[t1]]\n\tstrb r5, [%[out], %[t1], lsl #1]\n\tadd %[t1], %[t1], %[t1], lsl #1\n\t"
                   "strb r6, [%[out], %[t1]]\n\tstrb r3, [%[out]], #1\n\t"
                   "subs %[n], #1\n\t"
                   "bne 1b"
        : [sums] "+r"(sums), [multipliers] "+r"(multipliers), [shifts] "+r"(shifts), [out] "+r"(output),
          [n] "+r"(count), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3)
        : [context] "r"(context)
        : "r3", "r4", "r5", "r6", "cc", "memory");
}

/* `count` channels of outputs, from channel `first` on, of four pixels that lie `way` bytes apart. */
static void finish(const convolution *conv, int32_t first, int32_t count, const int32_t *sums, int8_t *output,
                   int32_t way)
{
    const dsp_ending *const ending = &conv->ending;
    const int32_t *multipliers = ending->scales->multipliers + first, *shifts = ending->scales->shifts + first;
    int32_t repeated[2][GROUP];
    if (!ending->step) {
        for (int32_t i = 0; i < count; ++i) {
            repeated[0][i] = ending->scales->multipliers[0];
            repeated[1][i] = ending->scales->shifts[0];
        }
        multipliers = repeated[0];
        shifts = repeated[1];
    }
    if (ending->is_short) {
        const finishing context = {ending->nudge, ending->low, ending->high, way};
        finish_short(&context, count, sums, multipliers, shifts, output);
        return;
    }
    for (int32_t i = 0; i < count * PIXELS; ++i) {
        const int32_t value = dsp_requantize_any(ending, sums[i], multipliers[i / PIXELS], shifts[i / PIXELS]);
        output[i % PIXELS * way + i / PIXELS] = (int8_t)kn_clamp(value, (int8_t)ending->low, (int8_t)ending->high);
    }
}

/* All channels of four pixels that lie one after the other in the output; only the first `pixels` are written.
 * Channels go through in groups: sums, then endings, each with the registers for itself. `offset_sums` is NULL where
 * the weights have no offset. */
static void multiply_channels(const convolution *conv, const int32_t *columns, const uint32_t *offset_sums,
                              int32_t pixels, int8_t *output)
{
    const int32_t channels = conv->shape->output_channels;
    int32_t sums[GROUP * PIXELS];
    int8_t rest[GROUP * PIXELS];
    for (int32_t first = 0; first < channels; first += GROUP, output += GROUP) {
        const int32_t count = channels - first < GROUP ? channels - first : GROUP;
        multiply(conv->taps, count, columns, conv->weights + first * conv->taps, conv->folded + first, sums,
                 first + count == channels);
        if (offset_sums) {
            for (int32_t i = 0; i < count * PIXELS; ++i)
                sums[i] = kn_wrap_add(sums[i], (int32_t)offset_sums[i % PIXELS]);
        }
        if (pixels == PIXELS) {
            finish(conv, first, count, sums, output, channels);
            continue;
        }
        finish(conv, first, count, sums, rest, GROUP);
        for (int32_t i = 0; i < pixels; ++i)
            memcpy(output + i * channels, rest + i * GROUP, (size_t)count);
    }
}

/* Whether no accumulator's double can leave 32 bits: the sum of so few products, weights' offset included, stays below
 * 2^26. */
static int sums_are_short(const convolution *conv)
{
    const uint32_t room = (1u << 30) - (1u << 26);
    if (conv->taps > 1 << 10)
        return 0;
    for (int32_t i = conv->shape->output_channels - 1; i >= 0; --i) {
        if ((uint32_t)conv->folded[i] + room >= 2u * room)
            return 0;
    }
    return 1;
}

/* Bytes for one column of int8 where a window must be gathered, and for four widened ones. */
static uint32_t narrow_bytes(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return fast_is_column(params, shape) ? 0 : fast_column_bytes(shape, shape->input_channels);
}

/* Windows of whole words are widened on the way; others become bytes first. Fits in 32 bits for columns below 2^28:
 * plan_check_conv refuses longer ones before an inference. */
static uint32_t wide_bytes(const kn_conv_shape *shape)
{
    const uint32_t column = fast_column_bytes(shape, shape->input_channels);
    const int has_bytes = shape->input_channels % 4 && column > SHORT_COLUMN;
    return column * (uint32_t)sizeof(int16_t) * PIXELS + (has_bytes ? column : 0);
}

uint32_t fast_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    if (shape->filter_channels != shape->input_channels)
        return 0;
    if (fast_column_bytes(shape, shape->input_channels) > WIDE_LIMIT / (sizeof(int16_t) * PIXELS) ||
        wide_bytes(shape) > WIDE_LIMIT)
        return narrow_bytes(params, shape);
    return wide_bytes(shape);
}

/* One pixel at a time, with little scratch. */
static int8_t *convolve_pixel(const convolution *conv, int32_t y, int32_t x, const int8_t *input, int8_t *scratch,
                              int8_t *output)
{
    const int8_t *column = scratch;
    if (fast_is_column(conv->params, conv->shape))
        column = input + (y * conv->shape->input_width + x) * conv->shape->input_channels;
    else
        fast_gather(conv->params, conv->shape, y, x, input, scratch);
    dsp_rows(&conv->ending, conv->shape->output_channels, conv->taps, column, conv->weights, conv->folded,
             dsp_offset_sum(conv->params->input_offset, conv->params->weights_offset, column, conv->taps), output);
    return output + conv->shape->output_channels;
}

int fast_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                 const int8_t *input, const int8_t *weights, const int32_t *folded, int8_t *scratch,
                 uint32_t scratch_bytes, int8_t *output)
{
    convolution conv = {params,
                        shape,
                        weights,
                        folded,
                        shape->filter_height * shape->filter_width * shape->input_channels,
                        dsp_make_ending(scales, shape->output_channels, params->rounding, params->output_offset,
                                        params->activation_min, params->activation_max)};
    const int wide = conv.taps > 1 && scratch_bytes >= wide_bytes(shape);
    int32_t *const columns = (int32_t *)(void *)scratch;
    int8_t *const bytes =
        scratch + fast_column_bytes(shape, shape->input_channels) * (uint32_t)sizeof(int16_t) * PIXELS;
    uint32_t offset_sums[PIXELS] = {0};
    const uint32_t *const sums = params->weights_offset ? offset_sums : 0;
    int32_t waiting = 0;
    if (shape->filter_channels != shape->input_channels ||
        (!wide && (scratch_bytes < narrow_bytes(params, shape) || shape->output_channels < 4)))
        return 0;
    if (wide)
        conv.ending.is_short &= sums_are_short(&conv);
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                if (!wide) {
                    output = convolve_pixel(&conv, origin_y, origin_x, input, scratch, output);
                    continue;
                }
                widen_window(params, shape, origin_y, origin_x, input, bytes, conv.taps, columns + waiting);
                if (sums)
                    offset_sums[waiting] = wide_offset_sum(params, conv.taps, columns + waiting);
                if (++waiting == PIXELS) {
                    multiply_channels(&conv, columns, sums, PIXELS, output);
                    output += PIXELS * shape->output_channels;
                    waiting = 0;
                }
            }
        }
        input += shape->input_height * shape->input_width * shape->input_channels;
    }
    if (waiting)
        multiply_channels(&conv, columns, sums, waiting, output);
    return 1;
}

#endif
