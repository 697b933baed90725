/* An odometer over the leading dimensions of a tensor: offsets advance by strides, without divisions. */
#ifndef KERNELS_WALK_H
#define KERNELS_WALK_H

#include <stdint.h>

#include "kernels.h"

/* Steps `index` to the next position over the first `rank` of `dims` (the last one fastest) and moves `*offset` along
 * `strides`. Returns 0, with index and offset back at the start, after the last position. One copy for all
 * kernels (walk.c): compilers for small cores inline it nowhere. */
int kn_walk_next(int32_t rank, const int32_t *dims, const int32_t *strides, int32_t *index, int32_t *offset);

/* The dimensions that a reduction keeps, or those that it takes away, each with its stride in the input. */
typedef struct {
    int32_t rank;
    int32_t dims[KN_MAX_RANK];
    int32_t strides[KN_MAX_RANK];
} kn_axes;

/* Sorts the dimensions of a dense tensor by `removed`. */
static inline void kn_split_axes(int32_t rank, const int32_t *dims, const int32_t *removed, kn_axes *kept,
                                 kn_axes *reduced)
{
    int32_t stride = 1;
    int32_t strides[KN_MAX_RANK];
    for (int32_t d = rank - 1; d >= 0; --d) {
        strides[d] = stride;
        stride *= dims[d];
    }
    kept->rank = 0;
    reduced->rank = 0;
    for (int32_t d = 0; d < rank; ++d) {
        kn_axes *const side = removed[d] ? reduced : kept;
        side->dims[side->rank] = dims[d];
        side->strides[side->rank] = strides[d];
        ++side->rank;
    }
}

#endif
