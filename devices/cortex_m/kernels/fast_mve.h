/* What the kernels for MVE (Helium, Cortex-M55) share. */
#ifndef CORTEX_M_FAST_MVE_H
#define CORTEX_M_FAST_MVE_H

#include <arm_mve.h>

#include "fast_window.h"

/* What every output of a layer goes through behind its scale. */
typedef struct {
    int32_t rounding, output_offset, low, high;
} mve_ending;

/* The first `count` (1 to 4 count; more count as 4) outputs of channels `first` and on from their accumulators: scaled,
 * clamped, stored as bytes.
 *
 * VQRDMULH is the doubling high multiply. VRSHL rounds ties up; -1 added to a negative value that is going to be
 * shifted turns them away from zero. VSHL to the left wraps, as the portable arithmetic does. */
static inline void mve_finish(const mve_ending *ending, const kn_channel_scales *scales, int32_t first, int32_t count,
                              int32x4_t sums, int8_t *output)
{
    const mve_pred16_t lanes = vctp32q((uint32_t)count);
    const int32_t at = scales->per_channel ? first : 0;
    if (ending->rounding == KN_ROUND_SINGLE) {
        int32_t values[4];
        vst1q_s32(values, sums);
        for (int32_t i = 0; i < 4 && i < count; ++i) {
            const int32_t scale = scales->per_channel ? first + i : 0;
            output[i] = kn_requantize_to_int8(values[i], scales->multipliers[scale], scales->shifts[scale],
                                              ending->rounding, ending->output_offset, ending->low, ending->high);
        }
        return;
    }
    int32x4_t multipliers = vdupq_n_s32(scales->multipliers[at]), shifts = vdupq_n_s32(scales->shifts[at]);
    if (scales->per_channel) {
        multipliers = vldrwq_z_s32(scales->multipliers + at, lanes);
        shifts = vldrwq_z_s32(scales->shifts + at, lanes);
    }
    const int32x4_t none = vdupq_n_s32(0);
    const int32x4_t right = vminq_s32(shifts, none);
    int32x4_t values = vqrdmulhq_s32(vshlq_s32(sums, vmaxq_s32(shifts, none)), multipliers);
    values = vrshlq_s32(vqaddq_s32(values, vshrq_n_s32(vandq_s32(values, right), 31)), right);
    values = vaddq_n_s32(values, ending->output_offset);
    values = vminq_s32(vmaxq_s32(values, vdupq_n_s32(ending->low)), vdupq_n_s32(ending->high));
    vstrbq_p_s32(output, values, lanes);
}

#endif
