#include "taps.h"

void kn_clip_taps(int32_t origin, int32_t size, int32_t dilation, int32_t limit, int32_t *first, int32_t *last)
{
    kn_clip_taps_here(origin, size, dilation, limit, first, last);
}
