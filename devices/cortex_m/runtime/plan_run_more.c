/* The plan runtime: the ops from PLAN_FIRST_MORE on. */
#include "plan_run.h"

static void run_pair(const plan_memory *memory, uint32_t op, const void *node)
{
    const plan_pair *const pair = node;
    const kn_broadcast *const b = &pair->broadcast;
    const void *const one = plan_at(memory, pair->input1), *const two = plan_at(memory, pair->input2);
    void *const output = memory->arena + pair->output;
    switch (op) {
        PLAN_RUN(PLAN_COMPARE, kn_compare(&((const plan_compare *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_PRELU, kn_prelu(&((const plan_prelu *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_BATCH_MATMUL, kn_batch_matmul(&((const plan_batch_matmul *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_MUL_16, kn_mul_16(&((const plan_mul *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_MAXIMUM_16, kn_pick_16(b, 1, one, two, output));
        PLAN_RUN(PLAN_MINIMUM_16, kn_pick_16(b, 0, one, two, output));
        PLAN_RUN(PLAN_BATCH_MATMUL_16,
                 kn_batch_matmul_16(&((const plan_batch_matmul *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_COMPARE_16, kn_compare_16(b, ((const plan_compare_16 *)node)->holds, one, two, output));
        PLAN_RUN(PLAN_PRELU_16, kn_prelu_16(&((const plan_prelu *)node)->params, b, one, two, output));
        PLAN_RUN(PLAN_SQUARED_DIFFERENCE,
                 kn_squared_difference(&((const plan_squared_difference *)node)->params, b, one, two, output));
    default:
        break;
    }
}

static void run_svdf(const plan_memory *memory, const plan_svdf *node)
{
    kn_svdf(&node->params, plan_at(memory, node->input), plan_at(memory, node->feature_weights),
            plan_at(memory, node->time_weights), plan_at(memory, node->bias),
            (int16_t *)(void *)(memory->arena + node->state), (int8_t *)(memory->arena + node->output));
}

static void run_lstm(const plan_memory *memory, const plan_lstm *node)
{
    const kn_lstm_weights weights = {plan_at(memory, node->input_weights), plan_at(memory, node->recurrent_weights),
                                     plan_at(memory, node->bias), plan_at(memory, node->multipliers),
                                     plan_at(memory, node->shifts)};
    kn_lstm(&node->params, &weights, plan_at(memory, node->input), (int16_t *)(void *)(memory->arena + node->state),
            (int8_t *)(memory->arena + node->output));
}

static void run_lstm_16(const plan_memory *memory, const plan_lstm_16 *node)
{
    const kn_lstm_weights weights = {plan_at(memory, node->input_weights), plan_at(memory, node->recurrent_weights),
                                     plan_at(memory, node->bias), plan_at(memory, node->multipliers),
                                     plan_at(memory, node->shifts)};
    kn_lstm_16(&node->params, &weights, plan_at(memory, node->table), plan_at(memory, node->input),
               (int16_t *)(void *)(memory->arena + node->state), (int16_t *)(void *)(memory->arena + node->output));
}

static void run_select(const plan_memory *memory, const plan_select *node)
{
    kn_select(&node->choice, plan_at(memory, node->condition), plan_at(memory, node->input1),
              plan_at(memory, node->input2), (int8_t *)(memory->arena + node->output));
}

static void run_resize_bilinear(const plan_memory *memory, const plan_resize_bilinear *node)
{
    kn_resize_bilinear(&node->shape, plan_at(memory, node->rows), plan_at(memory, node->row_parts),
                       plan_at(memory, node->columns), plan_at(memory, node->column_parts),
                       plan_at(memory, node->input), (int8_t *)(memory->arena + node->output));
}

static void run_resize_bilinear_16(const plan_memory *memory, const plan_resize_bilinear *node)
{
    kn_resize_bilinear_16(&node->shape, plan_at(memory, node->rows), plan_at(memory, node->row_parts),
                          plan_at(memory, node->columns), plan_at(memory, node->column_parts),
                          plan_at(memory, node->input), (int16_t *)(void *)(memory->arena + node->output));
}

/* Ops with one input: their records begin with head, input, output. */
static void run_unary(plan_memory *memory, uint32_t op, const void *node)
{
    const plan_copy *const front = node;
    const plan_l2_normalization *const l2 = node;
    const plan_sigmoid_16 *const sigmoid = node;
    const plan_softmax_16 *const softmax = node;
    const void *const input = plan_at(memory, front->input);
    void *const output = memory->arena + front->output;
    switch (op) {
        PLAN_RUN(PLAN_QUANTIZE_16, kn_quantize_16(((const plan_quantize *)node)->scale, front->count, input, output));
        PLAN_RUN(PLAN_DEQUANTIZE_16,
                 kn_dequantize_16(((const plan_quantize *)node)->scale, front->count, input, output));
        PLAN_RUN(PLAN_ASSIGN, kn_reshape(front->count, input, output));
        PLAN_RUN(PLAN_REDUCE, kn_reduce(&((const plan_reduce *)node)->params, input, output));
        PLAN_RUN(PLAN_ARG_MAX, kn_arg_max(&((const plan_arg_max *)node)->params, input, output));
        PLAN_RUN(PLAN_L2_NORMALIZATION, kn_l2_normalize(l2->rows, l2->depth, l2->zero_point, input, output));
        PLAN_RUN(PLAN_MAX_POOL_2D_16, kn_max_pool_2d_16(&((const plan_pool *)node)->params, input, output));
        PLAN_RUN(PLAN_AVERAGE_POOL_2D_16, kn_average_pool_2d_16(&((const plan_pool *)node)->params, input, output));
        PLAN_RUN(PLAN_MEAN_16, kn_mean_16(&((const plan_mean *)node)->params, input, output));
        PLAN_RUN(PLAN_LOOKUP_16,
                 kn_lookup_16(plan_at(memory, ((const plan_lookup_16 *)node)->table), front->count, input, output));
        PLAN_RUN(PLAN_SQRT_16, kn_sqrt_16(&((const plan_sqrt_16 *)node)->params, front->count, input, output));
        PLAN_RUN(PLAN_SIGMOID_16,
                 kn_sigmoid_16(&sigmoid->params, plan_at(memory, sigmoid->table), front->count, input, output));
        PLAN_RUN(PLAN_SOFTMAX_16, kn_softmax_16(&softmax->params, plan_at(memory, softmax->exp_table),
                                                plan_at(memory, softmax->reciprocal_table), input, output));
    default:
        if (PLAN_HAS_FLOATS && op >= PLAN_FIRST_FLOAT)
            plan_run_float(memory, node);
        else if (PLAN_HAS_LATE)
            plan_run_from_64(memory, node);
        break;
    }
}

void plan_run_more(plan_memory *memory, const uint32_t *record)
{
    const void *const node = record;
    const uint32_t op = record[0] & 0xFFFFu;
    switch (op) {
        PLAN_RUN(PLAN_SELECT, run_select(memory, node));
        PLAN_RUN(PLAN_FILL, kn_fill(((const plan_fill *)node)->count, ((const plan_fill *)node)->value,
                                    (int8_t *)(memory->arena + ((const plan_fill *)node)->output)));
        PLAN_RUN(PLAN_SVDF, run_svdf(memory, node));
        PLAN_RUN(PLAN_LSTM, run_lstm(memory, node));
        PLAN_RUN(PLAN_RESIZE_BILINEAR, run_resize_bilinear(memory, node));
        PLAN_RUN(PLAN_RESIZE_BILINEAR_16, run_resize_bilinear_16(memory, node));
        PLAN_RUN(PLAN_LSTM_16, run_lstm_16(memory, node));
    case PLAN_COMPARE:
    case PLAN_PRELU:
    case PLAN_BATCH_MATMUL:
    case PLAN_MUL_16:
    case PLAN_MAXIMUM_16:
    case PLAN_MINIMUM_16:
    case PLAN_BATCH_MATMUL_16:
    case PLAN_COMPARE_16:
    case PLAN_PRELU_16:
    case PLAN_SQUARED_DIFFERENCE:
        run_pair(memory, op, node);
        break;
    default:
        run_unary(memory, op, node);
        break;
    }
}
