/* What the kernels for the DSP extension share: requantization, and products of one column with rows of weights. */
#ifndef CORTEX_M_FAST_DSP_H
#define CORTEX_M_FAST_DSP_H

#include <arm_acle.h>

#include "fast_window.h"

/* What the outputs of a layer go through behind their accumulators. */
typedef struct {
    const kn_channel_scales *scales;
    int32_t step;     /* of the scales from one channel to the next: 1 or 0 */
    int32_t is_short; /* every channel suits dsp_requantize */
    int32_t rounding, output_offset;
    int32_t nudge;      /* 2 * output_offset + 1 */
    uint32_t low, high; /* of the activation, in each of four bytes */
} dsp_ending;

dsp_ending dsp_make_ending(const kn_channel_scales *scales, int32_t channels, int32_t rounding, int32_t output_offset,
                           int32_t activation_min, int32_t activation_max);

/* kn_requantize plus the output offset, for an accumulator whose double, `twice`, fits in 32 bits, one rounding
 * after the other and -20 <= shift <= -1: real multipliers from 2^-21 to under a half, as nearly all layers have.
 * SMMULR of 2a and b is (2ab + 2^31) >> 32: the doubling high multiply. Adding the sign (0 or -1) before the final
 * shift turns ties away from zero. The output offset goes through that shift unchanged, as a multiple of 2^-shift
 * beside the half that rounds: `nudge`, (2 * output offset + 1) << ~shift. Nothing overflows: 2^30 + 128 * 2^20 +
 * 2^19. dsp_scale takes the nudge shifted already, and `right` as -shift. */
static inline int32_t dsp_scale(int32_t twice, int32_t multiplier, int32_t nudge, int32_t right)
{
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(twice), "r"(multiplier));
    return ((high + (high >> 31)) + nudge) >> right;
}

static inline int32_t dsp_requantize(int32_t twice, int32_t multiplier, int32_t shift, int32_t nudge)
{
    return dsp_scale(twice, multiplier, nudge << ~shift, -shift);
}

/* The same for any scale and accumulator: the portable arithmetic, not in line. */
int32_t dsp_requantize_any(const dsp_ending *ending, int32_t value, int32_t multiplier, int32_t shift);

/* Four outputs as bytes, a in the lowest, each saturated to 8 bits and clamped to [low, high], which stand in each of
 * their four bytes. */
static inline uint32_t dsp_pack(uint32_t low, uint32_t high, int32_t a, int32_t b, int32_t c, int32_t d)
{
    uint32_t bytes, flags;
    __asm__("ssat %[a], #8, %[a]\n\t"
            "ssat %[b], #8, %[b]\n\t"
            "ssat %[c], #8, %[c]\n\t"
            "ssat %[d], #8, %[d]\n\t"
            "pkhbt %[a], %[a], %[c], lsl #16\n\t"
            "pkhbt %[b], %[b], %[d], lsl #16\n\t"
            "uxtb16 %[a], %[a]\n\t"
            "uxtb16 %[b], %[b]\n\t"
            "orr %[bytes], %[a], %[b], lsl #8\n\t"
            "ssub8 %[flags], %[bytes], %[low]\n\t"
            "sel %[bytes], %[bytes], %[low]\n\t"
            "ssub8 %[flags], %[bytes], %[high]\n\t"
            "sel %[bytes], %[high], %[bytes]"
            : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [bytes] "=&r"(bytes), [flags] "=&r"(flags)
            : [low] "r"(low), [high] "r"(high)
            : "cc");
    return bytes;
}

/* The outputs of four accumulators that belong to the channels from `first` on. */
uint32_t dsp_finish_channels(const dsp_ending *ending, int32_t first, int32_t a, int32_t b, int32_t c, int32_t d);

/* The last 1 to 3 bytes of a run of weights or inputs as a word that is 0 behind them. */
uint32_t dsp_load_tail(const int8_t *from, int32_t count);

/* Bytes 0 and 2, and bytes 1 and 3, as pairs of 16 bits. */
static inline int32_t dsp_even(uint32_t word)
{
    return __sxtb16((int8x4_t)word);
}

static inline int32_t dsp_odd(uint32_t word)
{
    int32_t pair; /* the compiler has no rotation within SXTB16 */
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/* One dense row of outputs: output[r] from sum(input * weights[r]) for each of `rows` >= 4 rows of `taps` >= 1
 * bytes. A fully connected layer, or one pixel of a convolution. folded[r] as in fast.h; `offset_sum` is added to
 * each sum. */
void dsp_rows(const dsp_ending *ending, int32_t rows, int32_t taps, const int8_t *input, const int8_t *weights,
              const int32_t *folded, uint32_t offset_sum, int8_t *output);

/* weights_offset * (sum of the inputs and their offsets): what a weights' offset adds to every sum over this column. */
uint32_t dsp_offset_sum(int32_t input_offset, int32_t weights_offset, const int8_t *input, int32_t taps);

#endif
