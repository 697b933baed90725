/* The input window of one output pixel as one dense column of int8: [filter_height, filter_width, channels], with the input's zero
 * point where the window hangs over the edge. That point plus the input offset is 0, so that sums with a folded offset need no clipping. */
#ifndef CORTEX_M_FAST_WINDOW_H
#define CORTEX_M_FAST_WINDOW_H

#include "fast.h"

/* The word at any address; these cores load unaligned words. */
static inline uint32_t fast_load(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

static inline void fast_store(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, 4);
}

/* Sum over one channel's products must stay in 28 bits for the fast requantization; see there. */
enum { FAST_MAX_TAPS = 8192 };

/* Bytes of a column with its end rounded up to whole words. */
static inline uint32_t fast_column_bytes(const kn_conv_shape *shape, int32_t channels)
{
    return ((uint32_t)(shape->filter_height * shape->filter_width * channels) + 3u) & ~3u;
}

/* Whether all windows lie inside the input. */
static inline int fast_lies_inside(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return params->pad_top == 0 && params->pad_left == 0 &&
           (shape->output_height - 1) * params->stride_height + (shape->filter_height - 1) * params->dilation_height < shape->input_height &&
           (shape->output_width - 1) * params->stride_width + (shape->filter_width - 1) * params->dilation_width < shape->input_width;
}

/* Whether the window of every output pixel already lies in the input as a column: nothing to gather. */
static inline int fast_is_column(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return shape->filter_height == 1 && shape->filter_width == 1 && fast_lies_inside(params, shape);
}

/* Gathers the window whose first tap lies at (origin_y, origin_x) of `image`. Every input channel is written `repeat` times (the
 * depth multiplier of DEPTHWISE_CONV_2D; 1 otherwise). */
void fast_gather(const kn_conv_params *params, const kn_conv_shape *shape, int32_t repeat, int32_t origin_y, int32_t origin_x,
                 const int8_t *image, int8_t *column);

#endif
