/* An odometer over the leading dimensions of a tensor: offsets advance by strides, without divisions. */
#ifndef KERNELS_WALK_H
#define KERNELS_WALK_H

#include <stdint.h>

/* Steps `index` to the next position over the first `rank` of `dims` (the last one fastest) and moves `*offset` along
 * `strides`. Returns 0, with index and offset back at the start, after the last position. */
static inline int kn_walk_next(int32_t rank, const int32_t *dims, const int32_t *strides, int32_t *index,
                               int32_t *offset)
{
    for (int32_t d = rank - 1; d >= 0; --d) {
        if (++index[d] < dims[d]) {
            *offset += strides[d];
            return 1;
        }
        *offset -= (dims[d] - 1) * strides[d];
        index[d] = 0;
    }
    return 0;
}

#endif
