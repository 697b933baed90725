/* Requantization for the DSP kernels: see fast_dsp.h. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"

uint32_t fast_kernels(void)
{
    return 2;
}

dsp_ending dsp_make_ending(const kn_channel_scales *scales, int32_t channels, int32_t rounding, int32_t output_offset,
                           int32_t activation_min, int32_t activation_max)
{
    const uint32_t bytes = 0x01010101u;
    dsp_ending ending = {scales,
                         scales->per_channel ? 1 : 0,
                         rounding == KN_ROUND_DOUBLE,
                         rounding,
                         output_offset,
                         2 * output_offset + 1,
                         ((uint32_t)activation_min & 0xFFu) * bytes,
                         ((uint32_t)activation_max & 0xFFu) * bytes};
    for (int32_t i = ending.step ? channels - 1 : 0; i >= 0; --i) {
        if ((uint32_t)~scales->shifts[i] >= 20u)
            ending.is_short = 0;
    }
    return ending;
}

__attribute__((noinline)) int32_t dsp_requantize_any(const dsp_ending *ending, int32_t value, int32_t multiplier,
                                                     int32_t shift)
{
    return kn_wrap_add(kn_requantize(value, multiplier, shift, ending->rounding), ending->output_offset);
}

__attribute__((optimize("O2"))) uint32_t dsp_finish_channels(const dsp_ending *ending, int32_t first, int32_t a,
                                                             int32_t b, int32_t c, int32_t d)
{
    const int32_t step = ending->step, nudge = ending->nudge;
    const int32_t *multipliers = ending->scales->multipliers + first * step,
                  *shifts = ending->scales->shifts + first * step;
    int32_t twice_a, twice_b, twice_c, twice_d;
    if (ending->is_short && !__builtin_add_overflow(a, a, &twice_a) && !__builtin_add_overflow(b, b, &twice_b) &&
        !__builtin_add_overflow(c, c, &twice_c) && !__builtin_add_overflow(d, d, &twice_d)) {
        a = dsp_requantize(twice_a, multipliers[0], shifts[0], nudge);
        b = dsp_requantize(twice_b, multipliers[step], shifts[step], nudge);
        c = dsp_requantize(twice_c, multipliers[2 * step], shifts[2 * step], nudge);
        d = dsp_requantize(twice_d, multipliers[3 * step], shifts[3 * step], nudge);
    } else {
        a = dsp_requantize_any(ending, a, multipliers[0], shifts[0]);
        b = dsp_requantize_any(ending, b, multipliers[step], shifts[step]);
        c = dsp_requantize_any(ending, c, multipliers[2 * step], shifts[2 * step]);
        d = dsp_requantize_any(ending, d, multipliers[3 * step], shifts[3 * step]);
    }
    return dsp_pack(ending->low, ending->high, a, b, c, d);
}

uint32_t dsp_load_tail(const int8_t *from, int32_t count)
{
    uint32_t word = 0;
    while (count > 0)
        word = word << 8 | (uint8_t)from[--count];
    return word;
}

uint32_t dsp_offset_sum(int32_t input_offset, int32_t weights_offset, const int8_t *input, int32_t taps)
{
    int32_t sum = 0;
    if (weights_offset == 0)
        return 0;
    for (int32_t i = 0; i < taps; ++i)
        sum += input[i];
    return (uint32_t)weights_offset * ((uint32_t)sum + (uint32_t)taps * (uint32_t)input_offset);
}

#endif
