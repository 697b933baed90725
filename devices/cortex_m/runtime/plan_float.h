/* The records of the float32 ops. Included by plan.h, whose rules hold here. A firmware has them where its core has a
 * floating-point unit. */
#ifndef CORTEX_M_PLAN_FLOAT_H
#define CORTEX_M_PLAN_FLOAT_H

#include "plan.h"

enum plan_float_op {
    PLAN_FLOAT_CONV_2D = 80, /* and FULLY_CONNECTED */
    PLAN_FLOAT_DEPTHWISE_CONV_2D = 81,
    PLAN_FLOAT_TRANSPOSE_CONV = 82,
    PLAN_FLOAT_MAX_POOL_2D = 83,
    PLAN_FLOAT_AVERAGE_POOL_2D = 84,
    PLAN_FLOAT_REDUCE = 85, /* MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD */
    PLAN_FLOAT_PAIR = 86,   /* ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, PRELU */
    PLAN_FLOAT_COMPARE = 87,
    PLAN_FLOAT_MAP = 88,     /* functions of one value */
    PLAN_FLOAT_SOFTMAX = 89, /* and LOG_SOFTMAX */
    PLAN_FLOAT_L2_NORMALIZATION = 90,
    PLAN_FLOAT_BATCH_MATMUL = 91,
    PLAN_FLOAT_ARG_MAX = 92, /* and ARG_MIN */
    PLAN_FLOAT_RESIZE_BILINEAR = 93,
    PLAN_FLOAT_SVDF = 94,
    PLAN_FLOAT_LSTM = 95, /* UNIDIRECTIONAL_SEQUENCE_LSTM */
    PLAN_FLOAT_END = 96
};

_Static_assert(PLAN_FLOAT_END - PLAN_FIRST_FLOAT == PLAN_FLOATS, "the float32 ops are not so many");

/* PLAN_FLOAT_CONV_2D, PLAN_FLOAT_DEPTHWISE_CONV_2D, PLAN_FLOAT_TRANSPOSE_CONV: plan_conv. Weights and bias are float32;
 * folded, multipliers, shifts and scratch are not there, offsets and flags 0, the activation range is two float32.
 * PLAN_FLOAT_MAX_POOL_2D, PLAN_FLOAT_AVERAGE_POOL_2D: plan_pool, likewise. PLAN_FLOAT_ARG_MAX: plan_arg_max. */

typedef struct {
    uint32_t head, input, output;
    kn_float_reduce_params params;
} plan_float_reduce;

typedef struct {
    plan_pair at;
    kn_float_pair_params params;
} plan_float_pair;

typedef struct {
    plan_pair at; /* output: bytes */
    int32_t comparison;
} plan_float_compare;

typedef struct {
    uint32_t head, input, output;
    int32_t count, function; /* enum kn_function */
    float a, b;
} plan_float_map;

typedef struct {
    uint32_t head, input, output;
    int32_t rows, depth, logarithm;
    float beta;
} plan_float_softmax;

typedef struct {
    uint32_t head, input, output;
    int32_t rows, depth;
} plan_float_l2_normalization;

typedef struct {
    plan_pair at; /* the broadcast walks over matrices */
    kn_float_matmul_params params;
} plan_float_batch_matmul;

typedef struct {
    uint32_t head, input, output;
    uint32_t rows;         /* int32 [output height]: the upper of two input rows; constant */
    uint32_t row_parts;    /* float32 [output height] */
    uint32_t columns;      /* int32 [output width]; constant */
    uint32_t column_parts; /* float32 [output width] */
    kn_resize_shape shape;
} plan_float_resize_bilinear;

typedef struct {
    uint32_t head, input;
    uint32_t state; /* float32 [batches, filters, memory]; written too */
    uint32_t feature_weights, time_weights;
    uint32_t bias; /* float32 [filters / rank]; none allowed */
    uint32_t output;
    kn_float_svdf_params params;
} plan_float_svdf;

typedef struct {
    uint32_t head, input;
    uint32_t state; /* float32 [2, batches, units]; written too */
    uint32_t input_weights, recurrent_weights;
    uint32_t bias; /* float32 [gates, units] */
    uint32_t output;
    kn_float_lstm_params params;
} plan_float_lstm;

PLAN_WORDS(plan_float_reduce, 18);
PLAN_WORDS(plan_float_pair, 26);
PLAN_WORDS(plan_float_compare, 24);
PLAN_WORDS(plan_float_map, 7);
PLAN_WORDS(plan_float_softmax, 7);
PLAN_WORDS(plan_float_l2_normalization, 5);
PLAN_WORDS(plan_float_batch_matmul, 30);
PLAN_WORDS(plan_float_resize_bilinear, 13);
PLAN_WORDS(plan_float_svdf, 14);
PLAN_WORDS(plan_float_lstm, 14);

#endif
