/* MEAN. */
#include "kernels.h"
#include "walk.h"

void kn_mean(const kn_mean_params *params, const int8_t *input, int8_t *output)
{
    kn_axes kept, reduced;
    int32_t kept_index[KN_MAX_RANK] = {0};
    int32_t reduced_index[KN_MAX_RANK] = {0};
    int32_t base = 0;
    kn_split_axes(params->rank, params->dims, params->reduced, &kept, &reduced);
    do {
        /* kn_walk_next brings the offset back to where it was, so `base` is whole again after the inner loop. */
        uint32_t sum = 0;
        do
            sum += (uint32_t)(input[base] - params->input_zero_point);
        while (kn_walk_next(reduced.rank, reduced.dims, reduced.strides, reduced_index, &base));
        *output++ = kn_requantize_to_int8((int32_t)sum, params->multiplier, params->shift, params->rounding,
                                          params->output_zero_point, INT8_MIN, INT8_MAX);
    } while (kn_walk_next(kept.rank, kept.dims, kept.strides, kept_index, &base));
}
