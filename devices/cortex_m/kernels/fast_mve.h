/* What the kernels for MVE (Helium, Cortex-M55) share: the way from accumulators to outputs. */
#ifndef CORTEX_M_FAST_MVE_H
#define CORTEX_M_FAST_MVE_H

#include <arm_mve.h>

#include "fast_window.h"

/* What the outputs of a layer go through behind their accumulators. */
typedef struct {
    const int32_t *multipliers, *shifts; /* of channel 0 */
    int32_t step;                        /* 1: one entry for each channel; 0: the same eight for all channels */
    int32_t rounding, output_offset, low, high;
    int32_t is_right;   /* two roundings, and no shift is to the left: what nearly all layers have */
    int32_t same[2][8]; /* where step is 0 */
} mve_ending;

/* Fills in all of `ending`, which must stay where it is. */
void mve_make_ending(mve_ending *ending, const kn_channel_scales *scales, int32_t channels, int32_t rounding,
                     int32_t output_offset, int32_t low, int32_t high);

/* kn_divide_by_power_of_two for shifts of 0 and below. VRSHL rounds ties up; -1 added to a negative value that is going
 * to be shifted turns them away from zero. */
static inline __attribute__((always_inline)) int32x4_t mve_shift_right(int32x4_t values, int32x4_t shifts)
{
    return vrshlq_s32(vqaddq_s32(values, vshrq_n_s32(vandq_s32(values, shifts), 31)), shifts);
}

/* kn_requantize with two roundings. VQRDMULH is the doubling high multiply. VSHL to the left wraps, as the portable
 * arithmetic does. */
static inline __attribute__((always_inline)) int32x4_t mve_scale(int32x4_t values, int32x4_t multipliers,
                                                                 int32x4_t shifts)
{
    const int32x4_t none = vdupq_n_s32(0);
    values = vqrdmulhq_s32(vshlq_s32(values, vmaxq_s32(shifts, none)), multipliers);
    return mve_shift_right(values, vminq_s32(shifts, none));
}

/* The outputs of channel `first` and on from four accumulators, of which the first `count` (more count as 4) are there;
 * whatever the rounding and the shifts. Not in line. */
void mve_finish(const mve_ending *ending, int32_t first, int32_t count, int32x4_t sums, int8_t *output);

#endif
