/* The float32 kernels, for cores with a floating-point unit (KN_FLOATS). Included by kernels.h, whose conventions of
 * shapes and strides hold here.
 *
 * They are not bit-exact with any other runtime: sums are in the order that suits the core, and a multiply-add is fused
 * where the core has one. docs/internals/kernels.md states how far each may be from the exact value. NaN and infinity
 * go through as IEEE 754 has it, but for a maximum or minimum, which may take either side of a NaN. */
#ifndef KERNELS_KERNELS_FLOAT_H
#define KERNELS_KERNELS_FLOAT_H

#include <stdint.h>

#include "kernels.h"

/* Soft floats would take a hundred instructions for each product: cores without the unit have none of these. */
#if !defined(__arm__) || (defined(__ARM_FP) && (__ARM_FP & 4))
#define KN_FLOATS 1
#else
#define KN_FLOATS 0
#endif

/* ---- float_conv.c -------------------------------------------------------------------------------------------- */

/* As their integer namesakes. Of the parameters, offsets and rounding are not looked at; activation_min and
 * activation_max hold the bits of two float32, the lower one first. FULLY_CONNECTED is CONV_2D of one pixel. */
void kn_float_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                      const float *weights, const float *bias, float *output);
void kn_float_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                                const float *weights, const float *bias, float *output);
void kn_float_transpose_conv(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                             const float *weights, const float *bias, float *output);

/* ---- float_pool.c -------------------------------------------------------------------------------------------- */

/* MAX_POOL_2D, or AVERAGE_POOL_2D with `average`; the activation range as above, is_uint8 is not looked at. */
void kn_float_pool_2d(const kn_pool_params *params, int32_t average, const float *input, float *output);

/* ---- float_reduce.c ------------------------------------------------------------------------------------------ */

enum kn_reduction { KN_SUM = 0, KN_LARGEST = 1, KN_SMALLEST = 2, KN_PRODUCT = 3, KN_REDUCTIONS = 4 };

typedef struct {
    int32_t rank; /* 1..KN_MAX_RANK */
    int32_t dims[KN_MAX_RANK];
    int32_t reduced[KN_MAX_RANK]; /* 1 where this dimension is reduced, else 0 */
    int32_t reduction;            /* enum kn_reduction */
    float divisor;                /* of the result: how many elements are reduced for MEAN, else 1 */
} kn_float_reduce_params;

void kn_float_reduce(const kn_float_reduce_params *params, const float *input, float *output);

/* As kn_arg_max. */
void kn_float_arg_max(const kn_arg_params *params, const float *input, int32_t *output);

/* SOFTMAX of `rows` rows, or LOG_SOFTMAX with `logarithm`. */
void kn_float_softmax(int32_t rows, int32_t depth, int32_t logarithm, float beta, const float *input, float *output);

/* L2_NORMALIZATION. A row of zeros stays one. */
void kn_float_l2_normalize(int32_t rows, int32_t depth, const float *input, float *output);

/* ---- float_pairs.c ------------------------------------------------------------------------------------------- */

enum kn_pairing {
    KN_ADD = 0,
    KN_SUB = 1,
    KN_MUL = 2,
    KN_DIV = 3,
    KN_MAXIMUM = 4,
    KN_MINIMUM = 5,
    KN_SQUARED_DIFFERENCE = 6,
    KN_PRELU = 7, /* input1 where it is >= 0, else input1 * input2 */
    KN_PAIRINGS = 8
};

typedef struct {
    int32_t pairing; /* enum kn_pairing */
    float low, high; /* the fused activation */
} kn_float_pair_params;

/* The output may be the buffer of an input that is not repeated. */
void kn_float_pair(const kn_float_pair_params *params, const kn_broadcast *broadcast, const float *input1,
                   const float *input2, float *output);

/* Output: bytes of 0 and 1. `comparison`: enum kn_comparison. */
void kn_float_compare(int32_t comparison, const kn_broadcast *broadcast, const float *input1, const float *input2,
                      uint8_t *output);

/* ---- float_map.c --------------------------------------------------------------------------------------------- */

enum kn_function {
    KN_CLAMP = 0, /* to [a, b]: RELU and its kin; NaN stays NaN */
    KN_LEAKY = 1, /* x where it is > 0, else a * x */
    KN_ELU = 2,
    KN_LOGISTIC = 3,
    KN_TANH = 4,
    KN_HARD_SWISH = 5,
    KN_EXP = 6,
    KN_LOG = 7,
    KN_SQRT = 8,
    KN_RSQRT = 9,
    KN_ABS = 10,
    KN_NEG = 11,
    KN_SQUARE = 12,
    KN_FLOOR = 13,
    KN_CEIL = 14,
    KN_ROUND = 15, /* ties to even */
    KN_FUNCTIONS = 16
};

/* One function of every value. The output may be the input's buffer. */
void kn_float_map(int32_t function, float a, float b, int32_t count, const float *input, float *output);

/* ---- float_matmul.c ------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t rows, depth, columns;
    int32_t row_stride1, depth_stride1; /* as kn_matmul_params */
    int32_t depth_stride2, column_stride2;
} kn_float_matmul_params;

void kn_float_batch_matmul(const kn_float_matmul_params *params, const kn_broadcast *batches, const float *input1,
                           const float *input2, float *output);

/* ---- float_bilinear.c ---------------------------------------------------------------------------------------- */

/* As kn_resize_bilinear, with parts in [0, 1]. */
void kn_float_resize_bilinear(const kn_resize_shape *shape, const int32_t *rows, const float *row_parts,
                              const int32_t *columns, const float *column_parts, const float *input, float *output);

/* ---- float_recurrent.c --------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches, inputs, filters, rank, memory; /* as kn_svdf_params */
    float low, high;                                /* the fused activation */
} kn_float_svdf_params;

void kn_float_svdf(const kn_float_svdf_params *params, const float *input, const float *feature_weights,
                   const float *time_weights, const float *bias, float *state, float *output);

typedef struct {
    int32_t batches, steps, inputs, units;
    int32_t gates, time_major; /* as kn_lstm_params */
    float cell_clip;           /* largest magnitude of a cell state; 0 for no limit */
} kn_float_lstm_params;

/* Weights as in kn_lstm_weights, the same order of gates; bias [gates, units]. state [2, batches, units], read and
 * written: hidden states, then cell states. */
void kn_float_lstm(const kn_float_lstm_params *params, const float *input_weights, const float *recurrent_weights,
                   const float *bias, const float *input, float *state, float *output);

#endif
