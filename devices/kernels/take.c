/* GATHER and GATHER_ND by indices that are known at the inference only. */
#include <string.h>

#include "kernels.h"

/* Where the picked bytes begin, counted in rows of `inner`; -1 where an index lies outside. */
static int32_t place(const kn_take_params *p, const uint32_t *index)
{
    const int32_t words = p->index_bytes / 4;
    int32_t row = 0;
    for (int32_t d = 0; d < p->depth; ++d, index += words) {
        /* A negative index is a large one. */
        if (index[0] >= (uint32_t)p->dims[d] || (words == 2 && index[1] != 0))
            return -1;
        row = row * p->dims[d] + (int32_t)index[0];
    }
    return row;
}

int32_t kn_take(const kn_take_params *params, const int8_t *input, const uint32_t *indices, int8_t *output)
{
    const int32_t inner = params->inner, step = params->depth * (params->index_bytes / 4);
    int32_t outside = 0, size = inner;
    for (int32_t d = 0; d < params->depth; ++d)
        size *= params->dims[d];
    for (int32_t batch = 0; batch < params->batches; ++batch, indices += params->picks * step) {
        for (int32_t outer = 0; outer < params->outer; ++outer, input += size) {
            for (int32_t pick = 0; pick < params->picks; ++pick, output += inner) {
                const int32_t row = place(params, indices + pick * step);
                if (row < 0) {
                    memset(output, 0, (size_t)inner);
                    outside = 1;
                } else {
                    memcpy(output, input + row * inner, (size_t)inner);
                }
            }
        }
    }
    return outside;
}
