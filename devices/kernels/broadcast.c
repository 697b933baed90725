/* Which element of each input belongs to which element of the output. */
#include "kernels.h"

/* Lines the shape up with `rank` dimensions from the right: missing ones are 1. Strides are 0 where a dimension is 1.
 */
static void align(int32_t rank, int32_t shape_rank, const int32_t *shape, int32_t *dims, int32_t *strides)
{
    int32_t stride = 1;
    for (int32_t d = rank - 1; d >= 0; --d) {
        const int32_t from = d - (rank - shape_rank);
        dims[d] = from >= 0 ? shape[from] : 1;
        strides[d] = dims[d] == 1 ? 0 : stride;
        stride *= dims[d];
    }
}

/* Drops dimensions of 1 and merges neighbours that both inputs walk without a jump. */
static void merge(kn_broadcast *b)
{
    int32_t kept = 0;
    for (int32_t d = 0; d < b->rank; ++d) {
        if (b->dims[d] == 1)
            continue;
        if (kept > 0 && b->strides1[kept - 1] == b->strides1[d] * b->dims[d] &&
            b->strides2[kept - 1] == b->strides2[d] * b->dims[d]) {
            b->dims[kept - 1] *= b->dims[d];
            b->strides1[kept - 1] = b->strides1[d];
            b->strides2[kept - 1] = b->strides2[d];
            continue;
        }
        b->dims[kept] = b->dims[d];
        b->strides1[kept] = b->strides1[d];
        b->strides2[kept] = b->strides2[d];
        ++kept;
    }
    if (kept == 0) {
        b->dims[0] = 1;
        b->strides1[0] = b->strides2[0] = 0;
        kept = 1;
    }
    b->rank = kept;
}

int32_t kn_broadcast_make(kn_broadcast *broadcast, int32_t rank1, const int32_t *dims1, int32_t rank2,
                          const int32_t *dims2)
{
    const int32_t rank = rank1 > rank2 ? rank1 : rank2;
    int32_t aligned1[KN_MAX_RANK];
    int32_t aligned2[KN_MAX_RANK];
    int32_t elements = 1;
    if (rank1 < 0 || rank2 < 0 || rank > KN_MAX_RANK)
        return 0;
    broadcast->rank = rank;
    align(rank, rank1, dims1, aligned1, broadcast->strides1);
    align(rank, rank2, dims2, aligned2, broadcast->strides2);
    for (int32_t d = 0; d < rank; ++d) {
        const int32_t larger = aligned1[d] > aligned2[d] ? aligned1[d] : aligned2[d];
        if (aligned1[d] < 1 || aligned2[d] < 1)
            return 0;
        if ((aligned1[d] != larger && aligned1[d] != 1) || (aligned2[d] != larger && aligned2[d] != 1))
            return 0;
        broadcast->dims[d] = larger;
        elements *= larger;
    }
    merge(broadcast);
    return elements;
}
