/* Requantization for the DSP kernels: see fast_dsp.h. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"

uint32_t fast_kernels(void)
{
    return 2;
}

dsp_ending dsp_make_ending(int32_t rounding, int32_t output_offset, int32_t activation_min, int32_t activation_max)
{
    const uint32_t bytes = 0x01010101u;
    return (dsp_ending){rounding, output_offset, ((uint32_t)activation_min & 0xFFu) * bytes,
                        ((uint32_t)activation_max & 0xFFu) * bytes};
}

__attribute__((noinline)) int32_t dsp_requantize_any(const dsp_ending *ending, int32_t value, int32_t multiplier, int32_t shift)
{
    return kn_wrap_add(kn_requantize(value, multiplier, shift, ending->rounding), ending->output_offset);
}

__attribute__((optimize("O2"))) uint32_t dsp_finish_channels(const dsp_ending *ending, const kn_channel_scales *scales, int32_t first,
                                                             const int32_t sums[4])
{
    const int32_t step = scales->per_channel ? 1 : 0;
    const int32_t *multipliers = scales->multipliers + first * step, *shifts = scales->shifts + first * step;
    int32_t values[4];
#pragma GCC unroll 4
    for (int32_t i = 0; i < 4; ++i, multipliers += step, shifts += step) {
        int32_t twice;
        if (dsp_is_short(ending, *shifts) && !__builtin_add_overflow(sums[i], sums[i], &twice))
            values[i] = dsp_requantize(twice, *multipliers, *shifts, dsp_nudge(ending, *shifts));
        else
            values[i] = dsp_requantize_any(ending, sums[i], *multipliers, *shifts);
    }
    return dsp_pack(ending, values[0], values[1], values[2], values[3]);
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
