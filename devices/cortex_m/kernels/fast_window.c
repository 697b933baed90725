/* Gathering of windows: see fast_window.h. */
#include "fast_window.h"

#if defined(__ARM_FEATURE_DSP) || defined(__ARM_FEATURE_MVE)

/* Not memcpy: runs are short, and a C library made for size copies byte by byte. */
static int8_t *copy_run(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 8; count -= 8, to += 8, from += 8) {
        const uint32_t low = fast_load(from), high = fast_load(from + 4);
        fast_store(to, low);
        fast_store(to + 4, high);
    }
    for (; count > 0; --count)
        *to++ = *from++;
    return to;
}

static int8_t *repeat_run(int8_t *to, const int8_t *from, int32_t count, int32_t repeat)
{
    for (; count > 0; --count, ++from) {
        for (int32_t i = 0; i < repeat; ++i)
            *to++ = *from;
    }
    return to;
}

static int8_t *fill_run(int8_t *to, uint32_t bytes, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4)
        fast_store(to, bytes);
    for (; count > 0; --count)
        *to++ = (int8_t)bytes;
    return to;
}

__attribute__((optimize("O2"))) void fast_gather(const kn_conv_params *params, const kn_conv_shape *shape, int32_t repeat, int32_t origin_y,
                                                 int32_t origin_x, const int8_t *image, int8_t *column)
{
    const int32_t channels = shape->input_channels;
    const uint32_t zero = ((uint32_t)-params->input_offset & 0xFFu) * 0x01010101u;
    for (int32_t fy = 0; fy < shape->filter_height; ++fy) {
        const int32_t y = origin_y + fy * params->dilation_height;
        const int inside = y >= 0 && y < shape->input_height;
        const int8_t *row = inside ? image + y * shape->input_width * channels : image;
        int32_t x = origin_x;
        for (int32_t left = shape->filter_width; left > 0;) {
            /* Taps from here on that lie side by side in the input, or that lie outside alike. */
            int32_t taps = left;
            if (inside && x < 0) {
                if (taps > -x)
                    taps = -x;
            } else if (inside && x < shape->input_width && taps > shape->input_width - x) {
                taps = shape->input_width - x;
            }
            if (params->dilation_width != 1)
                taps = 1;
            if (!inside || x < 0 || x >= shape->input_width)
                column = fill_run(column, zero, taps * channels * repeat);
            else if (repeat == 1)
                column = copy_run(column, row + x * channels, taps * channels);
            else
                column = repeat_run(column, row + x * channels, taps * channels, repeat);
            x += taps * params->dilation_width;
            left -= taps;
        }
    }
}

#endif
