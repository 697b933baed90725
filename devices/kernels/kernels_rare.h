/* Kernels of indices, of integers that are no quantized numbers, of conversions between types, and the rarest 8-bit
 * ones; the conventions of kernels.h hold. Included by kernels.h.
 *
 * An int64 is two words, the lower first, at a multiple of 4.
 */
#ifndef KERNELS_KERNELS_RARE_H
#define KERNELS_KERNELS_RARE_H

#include "kernels.h"
#include "kernels_more.h"

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

/* ---- div.c ----------------------------------------------------------------------------------------------------- */

/* DIV: input1 / input2. `multiplier` and `shift` are input1 scale / (input2 scale * output scale). Always rounds twice.
 * Returns 0, or 1 where a divisor's real value was 0: the quotient is activation_min there. The output may be the
 * buffer of an input that is not repeated. */
int32_t kn_div(const kn_mul_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
               int8_t *output);

/* ---- unpack_4.c ------------------------------------------------------------------------------------------------ */

/* Blocks of 32 weights of 4 bits, 16 bytes each, to int8: byte i of a block holds weight i in its lower half and weight
 * i + 16 in its upper one. Both are at multiples of 4. For cores that store the lowest byte of a word first. */
void kn_unpack_4(int32_t blocks, const uint32_t *packed, uint32_t *weights);

/* ---- svdf_8.c -------------------------------------------------------------------------------------------------- */

/* SVDF as TensorFlow Lite Micro has it too: time weights and memory are int8, the memory's real 0 is state_zero_point.
 */
void kn_svdf_8(const kn_svdf_params *params, int32_t state_zero_point, const int8_t *input,
               const int8_t *feature_weights, const int8_t *time_weights, const int32_t *bias, int8_t *state,
               int8_t *output);

#endif
