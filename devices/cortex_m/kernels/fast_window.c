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
    for (; count > 0; count -= 16, at += 16, from += from ? 16 : 0) {
        const mve_pred16_t lanes = vctp8q((uint32_t)count);
        vstrbq_p_s8(at, from ? vldrbq_z_s8(from, lanes) : vdupq_n_s8((int8_t)zero), lanes);
    }
    return at + count; /* count is what the last step went too far, negative or 0 */
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

FAST_LOOPS void fast_gather(const kn_conv_params *params, const kn_conv_shape *shape, int32_t repeat, int32_t origin_y,
                            int32_t origin_x, const int8_t *image, int8_t *column)
{
    fast_walk_window(params, shape, origin_y, origin_x, image, take_bytes, column);
    if (repeat == 1)
        return;
    /* From the end, so that nothing is overwritten before it is read. */
    int32_t from = shape->filter_height * shape->filter_width * shape->input_channels;
    for (int8_t *to = column + from * repeat; from > 0;) {
        const int8_t value = column[--from];
        for (int32_t i = 0; i < repeat; ++i)
            *--to = value;
    }
}

#endif
