/* The input window of one output pixel as one dense column of int8: [filter_height, filter_width, channels], with
 * the input's zero point where the window hangs over the edge. That point plus the input offset is 0, so that sums
 * with a folded offset need no clipping. */
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

/* Bytes of a column with its end rounded up to whole words. */
static inline uint32_t fast_column_bytes(const kn_conv_shape *shape, int32_t channels)
{
    return ((uint32_t)(shape->filter_height * shape->filter_width * channels) + 3u) & ~3u;
}

/* Whether taps of which the first lies at `at` are all inside. Safe for any position, so that no shape, however
 * hostile, makes a kernel read outside. */
static inline int fast_taps_inside(int64_t at, int32_t filter, int32_t dilation, int32_t limit)
{
    return at >= 0 && at < limit && (filter - 1) * dilation < limit - (int32_t)at;
}

/* Whether the window whose first tap lies at (y, x) is inside the input. */
static inline int fast_window_inside(const kn_conv_params *params, const kn_conv_shape *shape, int64_t y, int64_t x)
{
    return fast_taps_inside(y, shape->filter_height, params->dilation_height, shape->input_height) &&
           fast_taps_inside(x, shape->filter_width, params->dilation_width, shape->input_width);
}

/* Whether all windows are. */
static inline int fast_lies_inside(const kn_conv_params *params, const kn_conv_shape *shape)
{
    return params->pad_top == 0 && params->pad_left == 0 &&
           fast_window_inside(params, shape, (int64_t)(shape->output_height - 1) * params->stride_height,
                              (int64_t)(shape->output_width - 1) * params->stride_width);
}

/* CONV_2D: whether the window of every output pixel already lies in the input as a column; nothing to gather. Its rows
 * are dense, and there is one, or they are as wide as the input and follow each other. */
static inline int fast_is_column(const kn_conv_params *params, const kn_conv_shape *shape)
{
    const int dense = shape->filter_width == 1 || params->dilation_width == 1;
    const int joined =
        shape->filter_height == 1 || (params->dilation_height == 1 && shape->filter_width == shape->input_width);
    return dense && joined && fast_lies_inside(params, shape);
}

/* Takes one run of a column: `count` bytes from `from`, or, where that is NULL, `count` times the input's zero point
 * (in each byte of `zero`). Returns where the next run goes. */
typedef void *fast_take_run(void *to, const int8_t *from, int32_t count, uint32_t zero);

/* Walks the window whose first tap lies at (origin_y, origin_x) of `image`, run by run. */
static inline __attribute__((always_inline)) void fast_walk_window(const kn_conv_params *params,
                                                                   const kn_conv_shape *shape, int32_t origin_y,
                                                                   int32_t origin_x, const int8_t *image,
                                                                   fast_take_run *take, void *to)
{
    const int32_t channels = shape->input_channels, width = shape->input_width, dilation = params->dilation_width;
    const uint32_t zero = ((uint32_t)-params->input_offset & 0xFFu) * 0x01010101u;
    int32_t y = origin_y;
    for (int32_t rows = shape->filter_height; rows > 0; --rows, y += params->dilation_height) {
        int32_t x = origin_x, left = shape->filter_width;
        if (y < 0 || y >= shape->input_height) {
            to = take(to, 0, left * channels, zero);
            continue;
        }
        const int8_t *row = image + y * width * channels;
        while (left > 0) {
            /* Taps from here on that lie side by side in the input, or outside alike. */
            const int inside = x >= 0 && x < width;
            const int32_t border = x < 0 ? -x : width - x;
            const int32_t taps = dilation != 1 ? 1 : border > 0 && border < left ? border : left;
            to = take(to, inside ? row + x * channels : 0, taps * channels, zero);
            x += taps * dilation;
            left -= taps;
        }
    }
}

/* Gathers the window as bytes. */
void fast_gather(const kn_conv_params *params, const kn_conv_shape *shape, int32_t origin_y, int32_t origin_x,
                 const int8_t *image, int8_t *column);

/* For functions with loops over runs, which are short: unrolled calls of memset and memcpy would cost more than the
 * loops. */
#define FAST_LOOPS __attribute__((optimize("O2", "no-tree-loop-distribute-patterns")))

#endif
