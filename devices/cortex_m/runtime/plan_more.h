/* The records of the ops from PLAN_FIRST_MORE on. Included by plan.h, whose rules hold here. */
#ifndef CORTEX_M_PLAN_MORE_H
#define CORTEX_M_PLAN_MORE_H

#include "plan.h"

typedef struct {
    uint32_t head, input, output;
    kn_reduce_params params;
} plan_reduce;

typedef struct {
    uint32_t head, input, output;
    kn_arg_params params;
} plan_arg_max;

typedef struct {
    plan_pair at;
    kn_compare_params params;
} plan_compare;

typedef struct {
    uint32_t head, condition, input1, input2, output;
    kn_choice choice;
} plan_select;

typedef struct {
    uint32_t head, input, output;
    uint32_t rows;         /* int32 [output height]: the upper of two input rows; constant */
    uint32_t row_parts;    /* int32 [output height]: 0..1024, towards the lower one; constant */
    uint32_t columns;      /* int32 [output width]; constant */
    uint32_t column_parts; /* int32 [output width]; constant */
    kn_resize_shape shape;
} plan_resize_bilinear; /* and PLAN_RESIZE_BILINEAR_16 */

typedef struct {
    plan_pair at;
    kn_prelu_params params;
} plan_prelu; /* and PLAN_PRELU_16 */

typedef struct {
    plan_pair at; /* the broadcast walks over matrices */
    kn_matmul_params params;
} plan_batch_matmul; /* and PLAN_BATCH_MATMUL_16 */

typedef struct {
    uint32_t head, input, output;
    int32_t rows, depth, zero_point;
} plan_l2_normalization;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    uint32_t table; /* int16 [513] */
} plan_lookup_16;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    uint32_t table; /* uint16 [256] */
    kn_sigmoid_params params;
} plan_sigmoid_16;

typedef struct {
    uint32_t head, input, output;
    uint32_t exp_table, reciprocal_table; /* int16 [513] each */
    kn_softmax_16_params params;
} plan_softmax_16;

typedef struct {
    uint32_t head, output;
    int32_t count, value; /* bytes, and what each becomes */
} plan_fill;

typedef struct {
    uint32_t head, input;
    uint32_t state; /* int16 [batches, filters, memory], a multiple of 4; written too */
    uint32_t feature_weights, time_weights;
    uint32_t bias; /* int32 [filters / rank]; none allowed */
    uint32_t output;
    kn_svdf_params params;
} plan_svdf;

typedef struct {
    uint32_t head, input;
    uint32_t state; /* int16 [2, batches, units], a multiple of 4; written too */
    uint32_t input_weights, recurrent_weights;
    uint32_t bias;                /* int32 [gates, units] */
    uint32_t multipliers, shifts; /* int32 [gates, 2]; constant */
    uint32_t output;
    kn_lstm_params params;
} plan_lstm;

typedef struct {
    plan_pair at;
    int32_t holds; /* 1..6: 1 for less, plus 2 for equal, plus 4 for greater */
} plan_compare_16;

typedef struct {
    plan_pair at;
    kn_squared_params params;
} plan_squared_difference;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    kn_sqrt_params params;
} plan_sqrt_16;

typedef struct {
    uint32_t head, input;
    uint32_t state; /* as in plan_lstm */
    uint32_t input_weights, recurrent_weights;
    uint32_t bias;                /* int64 [4, units], at a multiple of 4 */
    uint32_t multipliers, shifts; /* int32 [4, 2]; constant; shifts -31..7 */
    uint32_t table;               /* uint16 [256] */
    uint32_t output;
    kn_lstm_16_params params;
} plan_lstm_16;

PLAN_WORDS(plan_reduce, 18);
PLAN_WORDS(plan_arg_max, 7);
PLAN_WORDS(plan_compare, 30);
PLAN_WORDS(plan_select, 30);
PLAN_WORDS(plan_resize_bilinear, 13);
PLAN_WORDS(plan_prelu, 30);
PLAN_WORDS(plan_batch_matmul, 35);
PLAN_WORDS(plan_l2_normalization, 6);
PLAN_WORDS(plan_lookup_16, 5);
PLAN_WORDS(plan_sigmoid_16, 8);
PLAN_WORDS(plan_softmax_16, 9);
PLAN_WORDS(plan_fill, 4);
PLAN_WORDS(plan_svdf, 18);
PLAN_WORDS(plan_lstm, 22);
PLAN_WORDS(plan_compare_16, 24);
PLAN_WORDS(plan_squared_difference, 33);
PLAN_WORDS(plan_sqrt_16, 8);
PLAN_WORDS(plan_lstm_16, 19);

#endif
