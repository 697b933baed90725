/* What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED share: sums of products, and the part of a filter that meets
 * the input. */
#ifndef KERNELS_TAPS_H
#define KERNELS_TAPS_H

#include "kernels.h"

/* Sum of (input + input_offset) * (weight + weights_offset) over `count` elements that lie side by side in both. */
uint32_t kn_dot(const int8_t *input, const int8_t *weights, int32_t count, int32_t input_offset,
                int32_t weights_offset);

/* The output of one channel from its sum: kn_requantize_to_int8. */
static inline int8_t kn_finish_sum_inline(const kn_channel_scales *scales, int32_t channel, uint32_t sum,
                                          int32_t rounding, int32_t zero_point, int32_t low, int32_t high)
{
    const int32_t scale = scales->per_channel ? channel : 0;
    return kn_requantize_to_int8((int32_t)sum, scales->multipliers[scale], scales->shifts[scale], rounding, zero_point,
                                 low, high);
}

#if defined(__ARM_FEATURE_DSP)
/* Out of line where faster kernels take nearly all layers: code counts more there. */
int8_t kn_finish_sum(const kn_channel_scales *scales, int32_t channel, uint32_t sum, int32_t rounding,
                     int32_t zero_point, int32_t low, int32_t high);
#else
#define kn_finish_sum kn_finish_sum_inline
#endif

/* Taps [*first, *last) of a filter of `size` that fall into [0, limit) when the first tap lies at `origin`. */
static inline void kn_clip_taps_here(int32_t origin, int32_t size, int32_t dilation, int32_t limit, int32_t *first,
                                     int32_t *last)
{
    *first = 0;
    *last = size;
    /* The usual case needs no division, which the smallest cores lack. */
    if (origin >= 0 && origin < limit && (size - 1) * dilation < limit - origin)
        return;
    *first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    *last = origin >= limit ? 0 : (limit - origin + dilation - 1) / dilation;
    if (*last > size)
        *last = size;
    if (*last < *first)
        *last = *first;
}

/* The same, one copy for all kernels that are large enough (taps.c). */
void kn_clip_taps(int32_t origin, int32_t size, int32_t dilation, int32_t limit, int32_t *first, int32_t *last);

/* The taps of one output pixel that lie inside the input. */
typedef struct {
    int32_t origin_y, origin_x;
    int32_t first_y, last_y, first_x, last_x;
} kn_window;

#endif
