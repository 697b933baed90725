/* The plan runtime: runs what plan_check.c has let in, and checks nothing again. */
#include "fast.h"
#include "plan_check.h"
#include "plan_run.h"

/* The loaded plan. */
static plan_memory model;

static const plan_header *header(void)
{
    return (const plan_header *)(const void *)model.plan;
}

static const void *at(uint32_t operand)
{
    return plan_at(&model, operand);
}

static void *out(uint32_t operand)
{
    return model.arena + operand;
}

static kn_channel_scales scales_of(const plan_weighted *node)
{
    const kn_channel_scales scales = {at(node->multipliers), at(node->shifts), node->per_channel};
    return scales;
}

static int8_t *scratch_of(const plan_weighted *node)
{
    return node->scratch == PLAN_NONE ? NULL : out(node->scratch);
}

static void run_conv(const plan_conv *node)
{
    const plan_weighted *const w = &node->at;
    const kn_channel_scales scales = scales_of(w);
    const int8_t *const input = at(w->input), *const weights = at(w->weights);
    const int32_t *const bias = at(w->bias), *const folded = at(w->folded);
    if (!folded || !fast_conv_2d(&node->params, &node->shape, &scales, input, weights, folded, scratch_of(w),
                                 w->scratch_bytes, out(w->output)))
        kn_conv_2d(&node->params, &node->shape, &scales, input, weights, bias, out(w->output));
}

static void run_depthwise_conv(const plan_conv *node)
{
    const plan_weighted *const w = &node->at;
    const kn_channel_scales scales = scales_of(w);
    const int8_t *const input = at(w->input), *const weights = at(w->weights);
    const int32_t *const bias = at(w->bias), *const folded = at(w->folded);
    if (!folded || !fast_depthwise_conv_2d(&node->params, &node->shape, &scales, input, weights, bias, folded,
                                           scratch_of(w), w->scratch_bytes, out(w->output)))
        kn_depthwise_conv_2d(&node->params, &node->shape, &scales, input, weights, bias, out(w->output));
}

static void run_transpose_conv(const plan_conv *node)
{
    const plan_weighted *const w = &node->at;
    const kn_channel_scales scales = scales_of(w);
    kn_transpose_conv(&node->params, &node->shape, &scales, at(w->input), at(w->weights), at(w->bias), out(w->output));
}

/* 16-bit activations: the portable kernels only. */
static inline void run_conv_16(uint32_t op, const plan_conv_16 *node)
{
    const plan_weighted *const w = &node->at;
    const kn_channel_scales scales = scales_of(w);
    const int16_t *const input = at(w->input);
    const int8_t *const weights = at(w->weights);
    const int32_t *const bias = at(w->bias);
    int16_t *const output = out(w->output);
    if (op == PLAN_CONV_2D_16)
        kn_conv_2d_16(&node->params, &node->shape, &scales, node->wide, input, weights, bias, output);
    else if (op == PLAN_DEPTHWISE_CONV_2D_16)
        kn_depthwise_conv_2d_16(&node->params, &node->shape, &scales, node->wide, input, weights, bias, output);
    else
        kn_transpose_conv_16(&node->params, &node->shape, &scales, node->wide, input, weights, bias, output);
}

static void run_fully_connected(const plan_fully_connected *node)
{
    const plan_weighted *const w = &node->at;
    const kn_channel_scales scales = scales_of(w);
    if (w->folded != PLAN_NONE &&
        fast_fully_connected(&node->params, &scales, at(w->input), at(w->weights), at(w->folded), out(w->output)))
        return;
    kn_fully_connected(&node->params, &scales, at(w->input), at(w->weights), at(w->bias), out(w->output));
}

static void run_pair(uint32_t op, const plan_pair *node)
{
    const kn_broadcast *const b = &node->broadcast;
    const kn_add_params *const add = &((const plan_add *)(const void *)node)->params;
    const int8_t *const input1 = at(node->input1);
    const int8_t *const input2 = at(node->input2);
    int8_t *const output = out(node->output);
    if ((PLAN_HAS(PLAN_ADD) && op == PLAN_ADD) || (PLAN_HAS(PLAN_SUB) && op == PLAN_SUB)) {
        const int32_t sign = op == PLAN_ADD ? 1 : -1;
        if (!fast_add(add, b, sign, input1, input2, output))
            (sign > 0 ? kn_add : kn_sub)(add, b, input1, input2, output);
    } else if (PLAN_HAS(PLAN_MUL) && op == PLAN_MUL) {
        kn_mul(&((const plan_mul *)(const void *)node)->params, b, input1, input2, output);
    } else if (PLAN_HAS(PLAN_MAXIMUM) && op == PLAN_MAXIMUM) {
        kn_maximum(b, input1, input2, output);
    } else if (PLAN_HAS(PLAN_MINIMUM) && op == PLAN_MINIMUM) {
        kn_minimum(b, input1, input2, output);
    }
}

static void run_add_16(int32_t sign, const plan_add *node)
{
    kn_add_16(&node->params, &node->at.broadcast, sign, at(node->at.input1), at(node->at.input2), out(node->at.output));
}

static void run_concatenation(const plan_concatenation *node)
{
    const int32_t count = node->inputs;
    const uint32_t *const operands = (const uint32_t *)(const void *)(node + 1);
    const int8_t *inputs[PLAN_MAX_INPUTS];
    const int8_t *tables[PLAN_MAX_INPUTS];
    for (int32_t i = 0; i < count; ++i) {
        inputs[i] = at(operands[i]);
        tables[i] = at(operands[count + i]);
    }
    kn_concatenation(node->outer, count, (const int32_t *)(const void *)(operands + 2 * count), inputs, tables,
                     out(node->output));
}

/* Ops that map `count` values to as many; their records begin like plan_copy. */
static void run_elementwise(uint32_t op, const plan_copy *front)
{
    const void *const node = front;
    const int32_t count = front->count;
    const void *const input = at(front->input);
    void *const output = out(front->output);
    const plan_quantize *const quantize = node;
    const plan_requantize *const requantize = node;
    switch (op) {
        PLAN_RUN(PLAN_COPY, kn_reshape(count, input, output));
        PLAN_RUN(PLAN_LOOKUP, kn_lookup(at(((const plan_lookup *)node)->table), count, input, output));
        PLAN_RUN(PLAN_RESCALE, kn_rescale(&((const plan_rescale *)node)->params, count, input, output));
        PLAN_RUN(PLAN_LEAKY_RELU, kn_leaky_relu(&((const plan_leaky_relu *)node)->params, count, input, output));
        PLAN_RUN(PLAN_LEAKY_RELU_16, kn_leaky_relu_16(&((const plan_leaky_relu *)node)->params, count, input, output));
        PLAN_RUN(PLAN_REQUANTIZE, kn_requantize_items(&requantize->params, requantize->input_bytes,
                                                      requantize->output_bytes, count, input, output));
        PLAN_RUN(PLAN_HARD_SWISH, kn_hard_swish(&((const plan_hard_swish *)node)->params, count, input, output));
        PLAN_RUN(PLAN_QUANTIZE, kn_quantize(quantize->scale, quantize->zero_point, count, input, output));
        PLAN_RUN(PLAN_DEQUANTIZE, kn_dequantize(quantize->scale, quantize->zero_point, count, input, output));
        PLAN_RUN(PLAN_FLIP_SIGN, kn_flip_sign(count, input, output));
    default:
        break;
    }
}

/* Ops with one input, one output and a struct of parameters: their records begin like plan_pool. */
static void run_shaped(uint32_t op, const void *node)
{
    const plan_pool *const front = node;
    const plan_resize *const resize = node;
    const int8_t *const input = at(front->input);
    int8_t *const output = out(front->output);
    switch (op) {
        PLAN_RUN(PLAN_MAX_POOL_2D, kn_max_pool_2d(&front->params, input, output));
        PLAN_RUN(PLAN_AVERAGE_POOL_2D, kn_average_pool_2d(&front->params, input, output));
        PLAN_RUN(PLAN_MEAN, kn_mean(&((const plan_mean *)node)->params, input, output));
        PLAN_RUN(PLAN_PAD, kn_pad(&((const plan_pad *)node)->params, input, output));
        PLAN_RUN(PLAN_SOFTMAX, kn_softmax(&((const plan_softmax *)node)->params, input, output));
        PLAN_RUN(PLAN_GATHER, kn_gather(&((const plan_gather *)node)->view, input, output));
    default: /* PLAN_RESIZE_NEAREST */
        if (PLAN_HAS(PLAN_RESIZE_NEAREST))
            kn_resize_nearest(&resize->shape, at(resize->rows), at(resize->columns), input, output);
        break;
    }
}

static void run_node(const uint32_t *record)
{
    const void *const node = record;
    const uint32_t op = record[0] & 0xFFFFu;
    switch (op) {
        PLAN_RUN(PLAN_CONV_2D, run_conv(node));
        PLAN_RUN(PLAN_DEPTHWISE_CONV_2D, run_depthwise_conv(node));
        PLAN_RUN(PLAN_FULLY_CONNECTED, run_fully_connected(node));
        PLAN_RUN(PLAN_TRANSPOSE_CONV, run_transpose_conv(node));
        PLAN_RUN(PLAN_CONV_2D_16, run_conv_16(PLAN_CONV_2D_16, node));
        PLAN_RUN(PLAN_DEPTHWISE_CONV_2D_16, run_conv_16(PLAN_DEPTHWISE_CONV_2D_16, node));
        PLAN_RUN(PLAN_TRANSPOSE_CONV_16, run_conv_16(PLAN_TRANSPOSE_CONV_16, node));
        PLAN_RUN(PLAN_ADD_16, run_add_16(1, node));
        PLAN_RUN(PLAN_SUB_16, run_add_16(-1, node));
    case PLAN_ADD:
    case PLAN_SUB:
    case PLAN_MUL:
    case PLAN_MAXIMUM:
    case PLAN_MINIMUM:
        run_pair(op, node);
        break;
        PLAN_RUN(PLAN_CONCATENATION, run_concatenation(node));
    case PLAN_MAX_POOL_2D:
    case PLAN_AVERAGE_POOL_2D:
    case PLAN_MEAN:
    case PLAN_PAD:
    case PLAN_SOFTMAX:
    case PLAN_GATHER:
    case PLAN_RESIZE_NEAREST:
        run_shaped(op, node);
        break;
    default:
        if (PLAN_HAS_MORE && op >= PLAN_FIRST_MORE)
            plan_run_more(&model, record);
        else
            run_elementwise(op, node);
        break;
    }
}

const char *rt_name(void)
{
    return "plan 1";
}

uint32_t rt_model_kind(void)
{
    return RT_MODEL_PLAN;
}

uint32_t rt_plan_version(void)
{
    return PLAN_VERSION;
}

uint32_t rt_kernels(void)
{
    return fast_kernels();
}

uint64_t rt_ops(void)
{
    return PLAN_BUILT_OPS;
}

uint64_t rt_late_ops(void)
{
    return PLAN_LATE_OPS;
}

static const uint32_t *first_node(void)
{
    return (const uint32_t *)(const void *)(model.plan + header()->nodes_offset);
}

/* Whether an inference of the loaded plan may find that it has no answer. */
static int may_fail(void)
{
    const uint32_t *record = first_node();
    for (uint32_t left = header()->node_count; left > 0; --left, record += record[0] >> 16)
        if (PLAN_MAY_FAIL(record[0] & 0xFFFFu))
            return 1;
    return 0;
}

int rt_load(const uint8_t *plan, uint32_t plan_bytes, uint8_t *arena, uint32_t arena_bytes, rt_error *error)
{
    rt_unload();
    if (((uintptr_t)plan | (uintptr_t)arena) % 16u != 0) {
        error->detail = PLAN_NO_NODE;
        error->text = "the port keeps models or the arena at an address that is not a multiple of 16";
        return RT_BAD_MODEL;
    }
    const int code = plan_check(plan, plan_bytes, arena_bytes, error);
    if (code == RT_OK) {
        model.plan = plan;
        model.arena = arena;
        if (PLAN_CAN_FAIL)
            model.sure = may_fail() ? NULL : plan;
        rt_reset(error);
    }
    return code;
}

void rt_unload(void)
{
    model.plan = NULL;
    if (PLAN_CAN_FAIL) {
        model.sure = NULL;
        model.failed = NULL;
    }
}

uint32_t rt_arena_used(void)
{
    return model.plan ? header()->arena_bytes : 0;
}

uint32_t rt_input_count(void)
{
    return model.plan ? header()->input_count : 0;
}

uint32_t rt_output_count(void)
{
    return model.plan ? header()->output_count : 0;
}

static rt_tensor tensor(uint32_t index, uint32_t first, uint32_t count)
{
    rt_tensor found = {NULL, 0};
    if (index < count) {
        const plan_io *const io = (const plan_io *)(const void *)(model.plan + header()->io_offset) + first + index;
        found.data = model.arena + io->arena_offset;
        found.bytes = io->bytes;
    }
    return found;
}

rt_tensor rt_input(uint32_t index)
{
    return tensor(index, 0, rt_input_count());
}

rt_tensor rt_output(uint32_t index)
{
    return tensor(index, rt_input_count(), rt_output_count());
}

static void run_nodes(const uint32_t *record, uint32_t count)
{
    for (; count > 0; --count) {
        run_node(record);
        record += record[0] >> 16;
    }
}

/* What a plan keeps between inferences is what its first nodes write. */
int rt_reset(rt_error *error)
{
    (void)error;
    if (PLAN_HAS_STATE && model.plan)
        run_nodes(first_node(), header()->reset_nodes);
    /* A first node without an answer is no inference's: the next one is told by its own. */
    if (PLAN_CAN_FAIL)
        model.failed = NULL;
    return RT_OK;
}

/* How an inference ended. Its outputs are of no use where a node had no answer; the next inference is as any other. */
static int answer_of(rt_error *error)
{
    if (!PLAN_CAN_FAIL || !model.failed)
        return RT_OK;
    error->detail = 0;
    for (const uint32_t *record = first_node(); record != model.failed; record += record[0] >> 16)
        ++error->detail;
    error->text = plan_failure(model.failed);
    model.failed = NULL;
    return RT_RUN_FAILED;
}

/* Of a plan whose nodes may lack an answer, and of none. Apart, so that the inferences of other plans, whose
 * instructions are counted, have nothing of it. */
static int invoke_unsure(rt_error *error)
{
    if (!model.plan) {
        error->detail = PLAN_NO_NODE;
        error->text = "no plan is loaded";
        return RT_RUN_FAILED;
    }
    model.sure = model.plan;
    rt_invoke(error);
    model.sure = NULL;
    return answer_of(error);
}

int rt_invoke(rt_error *error)
{
    if (PLAN_CAN_FAIL && !model.sure)
        return invoke_unsure(error);
    if (!PLAN_CAN_FAIL && !model.plan) {
        error->detail = PLAN_NO_NODE;
        error->text = "no plan is loaded";
        return RT_RUN_FAILED;
    }
    const uint32_t *record = first_node();
    uint32_t count = header()->node_count;
    if (PLAN_HAS_STATE) {
        count -= header()->reset_nodes;
        for (uint32_t left = header()->reset_nodes; left > 0; --left)
            record += record[0] >> 16;
    }
    run_nodes(record, count);
    return RT_OK;
}

#if RT_LAYERS
uint32_t rt_node_count(void)
{
    return model.plan ? header()->node_count - (PLAN_HAS_STATE ? header()->reset_nodes : 0) : 0;
}

/* A loop of its own: rt_invoke, which is timed, has nothing of it. What a node takes here beyond `dry` is what it takes
 * there, its turn of run_nodes' loop included. */
int rt_invoke_marked(rt_mark mark, int dry, rt_error *error)
{
    const uint32_t *record = first_node();
    const uint32_t each = dry ? 0 : 1;
    if (PLAN_HAS_STATE)
        for (uint32_t left = header()->reset_nodes; left > 0; --left)
            record += record[0] >> 16;
    mark();
    for (uint32_t count = rt_node_count(); count > 0; --count) {
        run_nodes(record, each);
        record += record[0] >> 16;
        mark();
    }
    return answer_of(error);
}
#endif
