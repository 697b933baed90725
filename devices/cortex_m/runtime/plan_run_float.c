/* The plan runtime: the float32 ops. */
#include "plan_run.h"

#if KN_FLOATS

#define RUN(op_name, call)                                                                                             \
    case op_name:                                                                                                      \
        if (PLAN_HAS(op_name))                                                                                         \
            call;                                                                                                      \
        break

static void run_conv(const plan_memory *memory, uint32_t op, const plan_conv *node)
{
    const plan_weighted *const w = &node->at;
    const float *const input = plan_at(memory, w->input), *const weights = plan_at(memory, w->weights);
    const float *const bias = plan_at(memory, w->bias);
    float *const output = (float *)(void *)(memory->arena + w->output);
    switch (op) {
        RUN(PLAN_FLOAT_CONV_2D, kn_float_conv_2d(&node->params, &node->shape, input, weights, bias, output));
        RUN(PLAN_FLOAT_DEPTHWISE_CONV_2D,
            kn_float_depthwise_conv_2d(&node->params, &node->shape, input, weights, bias, output));
        RUN(PLAN_FLOAT_TRANSPOSE_CONV,
            kn_float_transpose_conv(&node->params, &node->shape, input, weights, bias, output));
    default:
        break;
    }
}

static void run_pair(const plan_memory *memory, uint32_t op, const void *node)
{
    const plan_pair *const pair = node;
    const kn_broadcast *const b = &pair->broadcast;
    const float *const one = plan_at(memory, pair->input1), *const two = plan_at(memory, pair->input2);
    void *const output = memory->arena + pair->output;
    switch (op) {
        RUN(PLAN_FLOAT_PAIR, kn_float_pair(&((const plan_float_pair *)node)->params, b, one, two, output));
        RUN(PLAN_FLOAT_COMPARE, kn_float_compare(((const plan_float_compare *)node)->comparison, b, one, two, output));
        RUN(PLAN_FLOAT_BATCH_MATMUL,
            kn_float_batch_matmul(&((const plan_float_batch_matmul *)node)->params, b, one, two, output));
    default:
        break;
    }
}

static void run_svdf(const plan_memory *memory, const plan_float_svdf *node)
{
    kn_float_svdf(&node->params, plan_at(memory, node->input), plan_at(memory, node->feature_weights),
                  plan_at(memory, node->time_weights), plan_at(memory, node->bias),
                  (float *)(void *)(memory->arena + node->state), (float *)(void *)(memory->arena + node->output));
}

static void run_lstm(const plan_memory *memory, const plan_float_lstm *node)
{
    kn_float_lstm(&node->params, plan_at(memory, node->input_weights), plan_at(memory, node->recurrent_weights),
                  plan_at(memory, node->bias), plan_at(memory, node->input),
                  (float *)(void *)(memory->arena + node->state), (float *)(void *)(memory->arena + node->output));
}

/* Ops with one input: their records begin with head, input, output. */
static void run_unary(const plan_memory *memory, uint32_t op, const void *node)
{
    const plan_copy *const front = node;
    const plan_float_map *const map = node;
    const plan_float_softmax *const softmax = node;
    const plan_float_l2_normalization *const l2 = node;
    const plan_float_resize_bilinear *const resize = node;
    const void *const input = plan_at(memory, front->input);
    void *const output = memory->arena + front->output;
    switch (op) {
        RUN(PLAN_FLOAT_MAX_POOL_2D, kn_float_pool_2d(&((const plan_pool *)node)->params, 0, input, output));
        RUN(PLAN_FLOAT_AVERAGE_POOL_2D, kn_float_pool_2d(&((const plan_pool *)node)->params, 1, input, output));
        RUN(PLAN_FLOAT_REDUCE, kn_float_reduce(&((const plan_float_reduce *)node)->params, input, output));
        RUN(PLAN_FLOAT_ARG_MAX, kn_float_arg_max(&((const plan_arg_max *)node)->params, input, output));
        RUN(PLAN_FLOAT_MAP, kn_float_map(map->function, map->a, map->b, map->count, input, output));
        RUN(PLAN_FLOAT_SOFTMAX,
            kn_float_softmax(softmax->rows, softmax->depth, softmax->logarithm, softmax->beta, input, output));
        RUN(PLAN_FLOAT_L2_NORMALIZATION, kn_float_l2_normalize(l2->rows, l2->depth, input, output));
        RUN(PLAN_FLOAT_RESIZE_BILINEAR,
            kn_float_resize_bilinear(&resize->shape, plan_at(memory, resize->rows), plan_at(memory, resize->row_parts),
                                     plan_at(memory, resize->columns), plan_at(memory, resize->column_parts), input,
                                     output));
    default:
        break;
    }
}

void plan_run_float(const plan_memory *memory, const void *node)
{
    const uint32_t op = *(const uint32_t *)node & 0xFFFFu;
    switch (op) {
    case PLAN_FLOAT_CONV_2D:
    case PLAN_FLOAT_DEPTHWISE_CONV_2D:
    case PLAN_FLOAT_TRANSPOSE_CONV:
        run_conv(memory, op, node);
        break;
    case PLAN_FLOAT_PAIR:
    case PLAN_FLOAT_COMPARE:
    case PLAN_FLOAT_BATCH_MATMUL:
        run_pair(memory, op, node);
        break;
        RUN(PLAN_FLOAT_SVDF, run_svdf(memory, node));
        RUN(PLAN_FLOAT_LSTM, run_lstm(memory, node));
    default:
        run_unary(memory, op, node);
        break;
    }
}

#endif
