/* What the kernels for the DSP extension share: requantization, and products of one column with rows of weights. */
#ifndef CORTEX_M_FAST_DSP_H
#define CORTEX_M_FAST_DSP_H

#include <arm_acle.h>

#include "fast_window.h"

/* What every output of a layer goes through behind its scale. */
typedef struct {
    int32_t rounding, output_offset, low, high;
} dsp_ending;

/* The scale of one output channel. `plain`: the short sequence below gives the right number for it. */
typedef struct {
    int32_t multiplier, shift, plain;
    int32_t nudge;
} dsp_scale;

/* The short sequence needs one rounding after the other, 1 <= -shift <= 20 (a real multiplier from 2^-21 to under a half, as real layers
 * have), and an accumulator that stays below 2^30: the sum of 2^13 products of bytes is at most 2^27, what a weights' offset adds to it
 * at most 2^28, and the folded bias is looked at here. `taps` is the length of the sum. */
static inline dsp_scale dsp_make_scale(const dsp_ending *ending, int32_t multiplier, int32_t shift, int32_t folded, int32_t taps)
{
    const uint32_t bound = (uint32_t)1 << 29;
    dsp_scale scale = {multiplier, shift, 0, 0};
    if (ending->rounding == KN_ROUND_DOUBLE && (uint32_t)(-shift - 1) < 20u && (uint32_t)folded + bound < 2 * bound &&
        taps <= FAST_MAX_TAPS) {
        scale.plain = 1;
        scale.nudge = (ending->output_offset << -shift) + (1 << (-shift - 1));
    }
    return scale;
}

/* kn_requantize plus the output offset. With a plain scale: SMMULR of 2a and b is (2ab + 2^31) >> 32, which is the
 * doubling high multiply; adding the sign (0 or -1) before the final shift turns ties away from zero; the output offset goes
 * through the shift unchanged as a multiple of 2^-shift. */
static inline int32_t dsp_requantize(const dsp_ending *ending, const dsp_scale *scale, int32_t value)
{
    if (scale->plain) {
        int32_t high;
        __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"((int32_t)((uint32_t)value << 1)), "r"(scale->multiplier));
        high += high >> 31;
        return (high + scale->nudge) >> -scale->shift;
    }
    return kn_wrap_add(kn_requantize(value, scale->multiplier, scale->shift, ending->rounding), ending->output_offset);
}

/* One output of `ending->low` to `ending->high` from an accumulator. For places where speed does not matter. */
int8_t dsp_finish(const dsp_ending *ending, const dsp_scale *scale, int32_t value);

/* The last 1 to 3 bytes of a run of weights or inputs as a word that is 0 behind them. */
static inline uint32_t dsp_load_tail(const int8_t *from, int32_t count)
{
    uint32_t word = (uint8_t)from[0];
    if (count > 1)
        word |= (uint32_t)(uint8_t)from[1] << 8;
    if (count > 2)
        word |= (uint32_t)(uint8_t)from[2] << 16;
    return word;
}

/* Bytes 0 and 2, and bytes 1 and 3, as pairs of 16 bits. */
static inline int32_t dsp_even(uint32_t word)
{
    return __sxtb16((int8x4_t)word);
}

static inline int32_t dsp_odd(uint32_t word)
{
    return __sxtb16((int8x4_t)(word >> 8 | word << 24));
}

/* One dense row of outputs: output[r] from sum(input * weights[r]) for each of `rows` >= 4 rows of `taps` >= 1 bytes. A fully connected
 * layer, or one pixel of a convolution. folded[r] as in fast.h; `offset_sum` is added to each sum. */
void dsp_rows(const dsp_ending *ending, const kn_channel_scales *scales, int32_t rows, int32_t taps, const int8_t *input,
              const int8_t *weights, const int32_t *folded, uint32_t offset_sum, int8_t *output);

/* weights_offset * (sum of the inputs and their offsets): what a weights' offset adds to every sum over this column. */
uint32_t dsp_offset_sum(int32_t input_offset, int32_t weights_offset, const int8_t *input, int32_t taps);

#endif
