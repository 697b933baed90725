/* The walk over two inputs of shapes that fit together, for kernels that make one output of them. */
#ifndef KERNELS_PAIRS_H
#define KERNELS_PAIRS_H

#include "kernels.h"
#include "walk.h"

/* Positions in both inputs at the start of an output row (the row runs along the last dimension). */
typedef struct {
    int32_t index1[KN_MAX_RANK];
    int32_t index2[KN_MAX_RANK];
    int32_t offset1, offset2;
} kn_rows;

static const kn_rows kn_first_row = {{0}, {0}, 0, 0};

static inline int kn_next_row(const kn_broadcast *broadcast, kn_rows *at)
{
    const int32_t outer = broadcast->rank - 1;
    kn_walk_next(outer, broadcast->dims, broadcast->strides1, at->index1, &at->offset1);
    return kn_walk_next(outer, broadcast->dims, broadcast->strides2, at->index2, &at->offset2);
}

/* The common body of these kernels: RESULT is an expression in value1 and value2, ITEM the inputs' type, OUT the
 * output's. */
#define KN_FOR_EACH_PAIR(ITEM, OUT, RESULT)                                                                            \
    do {                                                                                                               \
        const int32_t last = broadcast->rank - 1;                                                                      \
        const int32_t length = broadcast->dims[last];                                                                  \
        const int32_t step1 = broadcast->strides1[last];                                                               \
        const int32_t step2 = broadcast->strides2[last];                                                               \
        kn_rows at = kn_first_row;                                                                                     \
        do {                                                                                                           \
            const ITEM *next1 = input1 + at.offset1;                                                                   \
            const ITEM *next2 = input2 + at.offset2;                                                                   \
            for (int32_t i = 0; i < length; ++i) {                                                                     \
                const int32_t value1 = next1[i * step1];                                                               \
                const int32_t value2 = next2[i * step2];                                                               \
                *output++ = (OUT)(RESULT);                                                                             \
            }                                                                                                          \
        } while (kn_next_row(broadcast, &at));                                                                         \
    } while (0)

#endif
