/* The 8-bit kernels of ops that are rarer than those of kernels.h, whose conventions hold here. Included by kernels.h.
 */
#ifndef KERNELS_KERNELS_MORE_H
#define KERNELS_KERNELS_MORE_H

#include "kernels.h"

/* ---- reduce.c ------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t rank; /* 1..KN_MAX_RANK */
    int32_t dims[KN_MAX_RANK];
    int32_t reduced[KN_MAX_RANK]; /* 1 where this dimension is reduced, else 0 */
    int32_t item_bytes;           /* 1 or 2: int8 or int16 */
    int32_t smallest;             /* 0: the maximum, 1: the minimum */
} kn_reduce_params;

/* REDUCE_MAX and REDUCE_MIN of the stored values: input and output share scale and zero point. */
void kn_reduce(const kn_reduce_params *params, const void *input, void *output);

typedef struct {
    int32_t outer, size, inner; /* the input is [outer, size, inner] */
    int32_t smallest;
} kn_arg_params;

/* ARG_MAX and ARG_MIN: the index along `size`, the first one where several are equal. output int32 [outer, inner]. */
void kn_arg_max(const kn_arg_params *params, const int8_t *input, int32_t *output);

/* ---- compare.c ----------------------------------------------------------------------------------------------- */

enum kn_comparison {
    KN_EQUAL = 0,
    KN_NOT_EQUAL = 1,
    KN_GREATER = 2,
    KN_GREATER_EQUAL = 3,
    KN_LESS = 4,
    KN_LESS_EQUAL = 5
};

typedef struct {
    int32_t comparison; /* enum kn_comparison */
    int32_t input1_offset, input1_multiplier, input1_shift;
    int32_t input2_offset, input2_multiplier, input2_shift;
} kn_compare_params;

/* Compares real values in steps of 1/256, as the reference does: each value is shifted left by 8 and multiplied by its
 * scale. Output: bytes of 0 and 1. */
void kn_compare(const kn_compare_params *params, const kn_broadcast *broadcast, const int8_t *input1,
                const int8_t *input2, uint8_t *output);

/* How three inputs are walked to make one output; as kn_broadcast. */
typedef struct {
    int32_t rank;
    int32_t dims[KN_MAX_RANK];
    int32_t strides0[KN_MAX_RANK]; /* of the condition */
    int32_t strides1[KN_MAX_RANK];
    int32_t strides2[KN_MAX_RANK];
} kn_choice;

/* SELECT and SELECT_V2: bytes of input1 where the condition is not 0, else of input2. */
void kn_select(const kn_choice *choice, const uint8_t *condition, const int8_t *input1, const int8_t *input2,
               int8_t *output);

/* ---- prelu.c ------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t input_offset, alpha_offset, output_offset;
    int32_t multiplier, shift;             /* for values >= 0: input scale / output scale */
    int32_t alpha_multiplier, alpha_shift; /* for values < 0: input scale * alpha scale / output scale */
} kn_prelu_params;

/* PRELU: input1 is the input, input2 alpha. Always rounds twice. The output may be the buffer of an input that is not
 * repeated. */
void kn_prelu(const kn_prelu_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
              int8_t *output);

/* ---- squared_difference.c -------------------------------------------------------------------------------------- */

typedef struct {
    int32_t item_bytes; /* 1 or 2: int8 or int16; with 2 all offsets are 0 */
    int32_t input1_offset, input1_multiplier,
        input1_shift; /* scale of each input / twice the larger one; shifts <= 0 */
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t output_offset, output_multiplier, output_shift;
} kn_squared_params;

/* SQUARED_DIFFERENCE. Always rounds twice. The output may be the buffer of an input that is not repeated. */
void kn_squared_difference(const kn_squared_params *params, const kn_broadcast *broadcast, const void *inputs1,
                           const void *inputs2, void *outputs);

/* ---- matmul.c ------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t rows, depth, columns;
    int32_t row_stride1, depth_stride1;    /* of a matrix of input1, in elements */
    int32_t depth_stride2, column_stride2; /* of a matrix of input2 */
    int32_t input1_offset, input2_offset, output_offset;
    int32_t multiplier, shift;
} kn_matmul_params;

/* BATCH_MATMUL: for every position of `batches` a product of two matrices; strides of `batches` lead to their first
 * elements. output [batches, rows, columns]. */
void kn_batch_matmul(const kn_matmul_params *params, const kn_broadcast *batches, const int8_t *input1,
                     const int8_t *input2, int8_t *output);

/* ---- normalize.c --------------------------------------------------------------------------------------------- */

/* L2_NORMALIZATION of `rows` rows of `depth` <= 32767 values; the output has scale 1/128 and zero point 0. */
void kn_l2_normalize(int32_t rows, int32_t depth, int32_t zero_point, const int8_t *input, int8_t *output);

/* ---- svdf.c --------------------------------------------------------------------------------------------------- */

/* Bytes of one value. */
void kn_fill(int32_t count, int32_t value, int8_t *output);

typedef struct {
    int32_t batches, inputs, filters, rank, memory; /* filters: a multiple of rank */
    int32_t input_offset, output_offset;
    int32_t multiplier1, shift1; /* input scale * feature weights' scale / state scale */
    int32_t multiplier2, shift2; /* state scale * time weights' scale / output scale */
} kn_svdf_params;

/* SVDF: every filter's product with the input enters its memory of the last `memory` steps; the memories times the time
 * weights, `rank` of them added up, are the output. input [batches, inputs], feature_weights [filters, inputs],
 * time_weights [filters, memory], bias [filters / rank] or NULL, state [batches, filters, memory], which is read and
 * written, output [batches, filters / rank]. */
void kn_svdf(const kn_svdf_params *params, const int8_t *input, const int8_t *feature_weights,
             const int16_t *time_weights, const int32_t *bias, int16_t *state, int8_t *output);

/* ---- lstm.c -------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches, steps, inputs, units;
    int32_t gates;      /* 3: forget, cell, output; 4: and input, which is 1 - forget with 3 */
    int32_t time_major; /* 0: input [batches, steps, inputs]; 1: [steps, batches, inputs]; the output likewise */
    int32_t input_offset;
    int32_t state_zero_point; /* by which the hidden state is read, and by which it is written */
    int32_t hidden_zero_point;
    int32_t hidden_multiplier, hidden_shift; /* 2^-30 / hidden scale */
    int32_t cell_integer_bits;               /* 0..6: the cell state's scale is 2^(bits - 15) */
    int32_t cell_clip;                       /* largest magnitude of a cell state; 0 for no limit */
} kn_lstm_params;

/* Constants of all gates, in their order. The last two have a pair per gate: of the input's product and of the hidden
 * state's, each times 2^12. */
typedef struct {
    const int8_t *input;     /* [gates, units, inputs] */
    const int8_t *recurrent; /* [gates, units, units] */
    const int32_t *bias;     /* [gates, units] */
    const int32_t *multipliers, *shifts;
} kn_lstm_weights;

/* UNIDIRECTIONAL_SEQUENCE_LSTM without peephole, projection and normalization. state [2, batches, units], read and
 * written: hidden states less their zero point, then cell states. output [batches, steps, units]. */
void kn_lstm(const kn_lstm_params *params, const kn_lstm_weights *weights, const int8_t *input, int16_t *state,
             int8_t *output);

/* ---- bilinear.c ---------------------------------------------------------------------------------------------- */

/* RESIZE_BILINEAR: output row y lies row_parts[y] / 1024 (0..1024) below input row rows[y], and the same for columns.
 * Below the last row there is the last row again. */
void kn_resize_bilinear(const kn_resize_shape *shape, const int32_t *rows, const int32_t *row_parts,
                        const int32_t *columns, const int32_t *column_parts, const int8_t *input, int8_t *output);

#endif
