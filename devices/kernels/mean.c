/* MEAN. */
#include "kernels.h"
#include "walk.h"

/* The dimensions that are kept, and those that are reduced, each with its strides in the input. */
typedef struct {
    int32_t rank;
    int32_t dims[KN_MAX_RANK];
    int32_t strides[KN_MAX_RANK];
} axes;

static void split_axes(const kn_mean_params *params, axes *kept, axes *reduced)
{
    int32_t stride = 1;
    int32_t strides[KN_MAX_RANK];
    for (int32_t d = params->rank - 1; d >= 0; --d) {
        strides[d] = stride;
        stride *= params->dims[d];
    }
    kept->rank = 0;
    reduced->rank = 0;
    for (int32_t d = 0; d < params->rank; ++d) {
        axes *side = params->reduced[d] ? reduced : kept;
        side->dims[side->rank] = params->dims[d];
        side->strides[side->rank] = strides[d];
        ++side->rank;
    }
}

void kn_mean(const kn_mean_params *params, const int8_t *input, int8_t *output)
{
    axes kept, reduced;
    int32_t kept_index[KN_MAX_RANK] = {0};
    int32_t reduced_index[KN_MAX_RANK] = {0};
    int32_t base = 0;
    split_axes(params, &kept, &reduced);
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
