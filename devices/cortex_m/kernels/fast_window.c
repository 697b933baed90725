/* Gathering of windows: see fast_window.h. */
#include "fast_window.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

#if defined(__ARM_FEATURE_DSP) || defined(__ARM_FEATURE_MVE)

#if defined(__ARM_FEATURE_MVE)
static inline __attribute__((always_inline)) void *take_bytes(void *to, const int8_t *from, int32_t count,
                                                              uint32_t zero)
{
    int8_t *at = to;
    int8x16_t bytes;
    if (from)
        __asm__ volatile("wlstp.8 lr, %[count], 2f\n"
                         "1:\n\t"
                         "vldrb.8 %q[bytes], [%[from]], #16\n\t"
                         "vstrb.8 %q[bytes], [%[at]], #16\n\t"
                         "letp lr, 1b\n"
                         "2:"
                         : [bytes] "=&w"(bytes), [from] "+r"(from), [at] "+r"(at)
                         : [count] "r"(count)
                         : "lr", "cc", "memory");
    else
        __asm__ volatile("vdup.32 %q[bytes], %[zero]\n\t"
                         "wlstp.8 lr, %[count], 2f\n"
                         "1:\n\t"
                         "vstrb.8 %q[bytes], [%[at]], #16\n\t"
                         "letp lr, 1b\n"
                         "2:"
                         : [bytes] "=&w"(bytes), [at] "+r"(at)
                         : [count] "r"(count), [zero] "r"(zero)
                         : "lr", "cc", "memory");
    return (int8_t *)to + count;
}
#else
/* Word by word; a last word that is not whole overlaps the one before. */
static inline __attribute__((always_inline)) void *take_bytes(void *to, const int8_t *from, int32_t count,
                                                              uint32_t zero)
{
    int8_t *at = to;
    int8_t *const end = at + count;
    if (count < 4) {
        while (at < end)
            *at++ = from ? *from++ : (int8_t)zero;
    } else if (from) {
        for (; at <= end - 4; at += 4, from += 4)
            fast_store(at, fast_load(from));
        if (at < end)
            fast_store(end - 4, fast_load(from - (at - (end - 4))));
    } else {
        for (; at <= end - 4; at += 4)
            fast_store(at, zero);
        fast_store(end - 4, zero);
    }
    return end;
}
#endif

FAST_LOOPS void fast_gather(const kn_conv_params *params, const kn_conv_shape *shape, int32_t origin_y,
                            int32_t origin_x, const int8_t *image, int8_t *column)
{
#if defined(__ARM_FEATURE_MVE)
    /* Nearly all windows: rows of taps that lie side by side, all inside. */
    if (params->dilation_width == 1 && fast_window_inside(params, shape, origin_y, origin_x)) {
        const int32_t channels = shape->input_channels, way = shape->input_width * channels;
        const int8_t *row = image + origin_y * way + origin_x * channels;
        for (int32_t rows = shape->filter_height; rows > 0; --rows, row += params->dilation_height * way)
            column = take_bytes(column, row, shape->filter_width * channels, 0);
        return;
    }
#endif
    fast_walk_window(params, shape, origin_y, origin_x, image, take_bytes, column);
}

#endif
