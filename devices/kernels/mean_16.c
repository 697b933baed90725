/* MEAN of 16-bit activations. */
#include "kernels.h"
#include "walk.h"

void kn_mean_16(const kn_mean_params *params, const int16_t *input, int16_t *output)
{
    kn_axes kept, reduced;
    int32_t kept_index[KN_MAX_RANK] = {0};
    int32_t reduced_index[KN_MAX_RANK] = {0};
    int32_t base = 0;
    kn_split_axes(params->rank, params->dims, params->reduced, &kept, &reduced);
    do {
        uint32_t sum = 0;
        do {
            const int32_t value = input[base];
            sum += (uint32_t)value;
        } while (kn_walk_next(reduced.rank, reduced.dims, reduced.strides, reduced_index, &base));
        *output++ = (int16_t)kn_clamp(kn_requantize((int32_t)sum, params->multiplier, params->shift, params->rounding),
                                      INT16_MIN, INT16_MAX);
    } while (kn_walk_next(kept.rank, kept.dims, kept.strides, kept_index, &base));
}
