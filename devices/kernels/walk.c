#include "walk.h"

int kn_walk_next(int32_t rank, const int32_t *dims, const int32_t *strides, int32_t *index, int32_t *offset)
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
