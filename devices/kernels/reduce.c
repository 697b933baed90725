/* REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN: the stored values are compared, nothing is computed. */
#include "kernels.h"
#include "walk.h"

static int32_t item(const void *items, int32_t bytes, int32_t index)
{
    return bytes == 1 ? ((const int8_t *)items)[index] : ((const int16_t *)items)[index];
}

void kn_reduce(const kn_reduce_params *params, const void *input, void *output)
{
    kn_axes kept, reduced;
    int32_t kept_index[KN_MAX_RANK] = {0};
    int32_t reduced_index[KN_MAX_RANK] = {0};
    int32_t base = 0, written = 0;
    kn_split_axes(params->rank, params->dims, params->reduced, &kept, &reduced);
    do {
        int32_t best = item(input, params->item_bytes, base);
        do {
            const int32_t value = item(input, params->item_bytes, base);
            if (params->smallest ? value < best : value > best)
                best = value;
        } while (kn_walk_next(reduced.rank, reduced.dims, reduced.strides, reduced_index, &base));
        if (params->item_bytes == 1)
            ((int8_t *)output)[written++] = (int8_t)best;
        else
            ((int16_t *)output)[written++] = (int16_t)best;
    } while (kn_walk_next(kept.rank, kept.dims, kept.strides, kept_index, &base));
}

void kn_arg_max(const kn_arg_params *params, const int8_t *input, int32_t *output)
{
    for (int32_t outer = 0; outer < params->outer; ++outer, input += params->size * params->inner) {
        for (int32_t inner = 0; inner < params->inner; ++inner) {
            int32_t best = 0;
            for (int32_t i = 1; i < params->size; ++i) {
                const int8_t value = input[i * params->inner + inner];
                const int8_t so_far = input[best * params->inner + inner];
                if (params->smallest ? value < so_far : value > so_far)
                    best = i;
            }
            *output++ = best;
        }
    }
}
