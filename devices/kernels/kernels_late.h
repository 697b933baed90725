/* Kernels of indices, of integers that are no quantized numbers, and of conversions between types; the conventions of
 * kernels.h hold. Included by kernels.h.
 *
 * An int64 is two words, the lower first, at a multiple of 4.
 */
#ifndef KERNELS_KERNELS_LATE_H
#define KERNELS_KERNELS_LATE_H

#include "kernels.h"

/* ---- take.c -------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches, outer; /* the input is [batches, outer, dims..., inner bytes] */
    int32_t picks; /* the indices are [batches, picks, depth], the output [batches, outer, picks, inner bytes] */
    int32_t depth; /* 1..KN_MAX_RANK: of the dimensions that are picked from */
    int32_t dims[KN_MAX_RANK];
    int32_t inner;
    int32_t index_bytes; /* 4 or 8 */
} kn_take_params;

/* GATHER and GATHER_ND: copies what the indices name. Returns 0, or 1 where an index lies outside its dimension: that
 * part of the output is zeros then, and nothing outside the input was read. */
int32_t kn_take(const kn_take_params *params, const int8_t *input, const uint32_t *indices, int8_t *output);

/* ---- cast.c -------------------------------------------------------------------------------------------------- */

/* As enum plan_type numbers them. uint8 is stored as in every other kernel: as int8 with the sign bit flipped. */
enum kn_type {
    KN_INT8 = 0,
    KN_UINT8 = 1,
    KN_FLOAT32 = 2,
    KN_INT16 = 3,
    KN_INT32 = 4,
    KN_INT64 = 5,
    KN_BOOL = 6, /* a byte, 0 or 1 */
    KN_TYPES = 7
};

/* CAST. To a narrower integer: the lower bits. From float32: towards zero, saturated, 0 for NaN. To bool: whether it is
 * not 0. */
void kn_cast(int32_t from, int32_t to, int32_t count, const void *input, void *output);

/* ---- integers.c ---------------------------------------------------------------------------------------------- */

enum kn_integer_operation {
    KN_INTEGER_ADD = 0,
    KN_INTEGER_SUB = 1,
    KN_INTEGER_MUL = 2,
    KN_INTEGER_MAXIMUM = 3,
    KN_INTEGER_MINIMUM = 4,
    KN_INTEGER_DIV = 5,       /* towards zero */
    KN_INTEGER_FLOOR_DIV = 6, /* down */
    KN_INTEGER_FLOOR_MOD = 7, /* what FLOOR_DIV leaves: it has the divisor's sign */
    KN_INTEGER_OPERATIONS = 8
};

typedef struct {
    int32_t operation; /* enum kn_integer_operation */
    int32_t low, high; /* of the result: a fused activation */
} kn_integers_params;

/* Two int32 tensors; results wrap at 32 bits. Returns 0, or 1 where a divisor was 0: the quotient is 0 there. The
 * output may be the buffer of an input that is not repeated. */
int32_t kn_integers(const kn_integers_params *params, const kn_broadcast *broadcast, const int32_t *input1,
                    const int32_t *input2, int32_t *output);

#endif
