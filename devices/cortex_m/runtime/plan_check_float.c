/* Validation of a plan, part 7: the float32 ops. Their numbers may be any, NaN among them: what steers an address, a
 * shift or a choice of code is an integer, and is checked as such. */
#include "plan_check.h"

#if KN_FLOATS

/* The letters of plan_check_fields.c; '.' for operands and for float32. */
#define CONV_WORDS                                                                                                     \
    "...333"                                                                                                           \
    "3.22wwwwpp222..2ccccwwcccc"
#define TRANSPOSE_WORDS                                                                                                \
    "...333"                                                                                                           \
    "3.22ww88pp222..2ccccwwcccc"
#define POOL_WORDS "..ccccccwwwwpp..2"
#define BROADCAST_WORDS "...rdddddddddddddddddd"
#define LAYOUT(op, words) [op - PLAN_FIRST_FLOAT] = PLAN_HAS(op) ? words : ""

static const char *const layouts[PLAN_FLOAT_END - PLAN_FIRST_FLOAT] = {
    LAYOUT(PLAN_FLOAT_CONV_2D, CONV_WORDS),
    LAYOUT(PLAN_FLOAT_DEPTHWISE_CONV_2D, CONV_WORDS),
    LAYOUT(PLAN_FLOAT_TRANSPOSE_CONV, TRANSPOSE_WORDS),
    LAYOUT(PLAN_FLOAT_MAX_POOL_2D, POOL_WORDS),
    LAYOUT(PLAN_FLOAT_AVERAGE_POOL_2D, POOL_WORDS),
    LAYOUT(PLAN_FLOAT_REDUCE, "..rddddddffffff4."),
    LAYOUT(PLAN_FLOAT_PAIR, BROADCAST_WORDS "5.."),
    LAYOUT(PLAN_FLOAT_COMPARE, BROADCAST_WORDS "9"),
    LAYOUT(PLAN_FLOAT_MAP, "..c6.."),
    LAYOUT(PLAN_FLOAT_SOFTMAX, "..ccf."),
    LAYOUT(PLAN_FLOAT_L2_NORMALIZATION, "..cc"),
    LAYOUT(PLAN_FLOAT_BATCH_MATMUL, BROADCAST_WORDS "cccdddd"),
    LAYOUT(PLAN_FLOAT_ARG_MAX, "..cccf"),
    LAYOUT(PLAN_FLOAT_RESIZE_BILINEAR, "......cccccc"),
    LAYOUT(PLAN_FLOAT_SVDF, "......ccccc.."),
    LAYOUT(PLAN_FLOAT_LSTM, "......ccccVf."),
};

const char *plan_float_layout(uint32_t op)
{
    return layouts[op - PLAN_FIRST_FLOAT];
}

/* An operand of so many float32. */
static void check_floats(plan_checker *check, uint32_t operand, uint32_t count)
{
    plan_check_input(check, operand, plan_times(count, 4), 4, PLAN_APART);
}

/* An output and an input of as many float32 as two sizes make. */
static void check_rows(plan_checker *check, const plan_copy *front, int32_t rows, int32_t depth, int overlap)
{
    const uint32_t bytes = plan_times(plan_times((uint32_t)rows, (uint32_t)depth), 4);
    plan_check_output(check, front->output, bytes, 4);
    plan_check_input(check, front->input, bytes, 4, overlap);
}

static void check_reduce(plan_checker *check, const plan_float_reduce *node)
{
    const kn_float_reduce_params *const p = &node->params;
    uint32_t kept = 4;
    for (int32_t d = 0; d < p->rank; ++d)
        if (!p->reduced[d])
            kept = plan_times(kept, (uint32_t)p->dims[d]);
    plan_check_output(check, node->output, kept, 4);
    check_floats(check, node->input, plan_elements(check, p->rank, p->dims));
}

/* Pairs; a pair may be two numbers, or two matrices of which `cells` elements become. */
static void check_pair(plan_checker *check, const plan_pair *node, uint32_t cells, uint32_t output_bytes,
                       uint32_t reach1, uint32_t reach2, int in_place)
{
    const kn_broadcast *const b = &node->broadcast;
    const uint32_t count = plan_times(plan_elements(check, b->rank, b->dims), cells);
    plan_check_output(check, node->output, plan_times(count, output_bytes), output_bytes);
    plan_check_input(check, node->input1, plan_times(reach1, 4), 4,
                     in_place && plan_is_dense(b->rank, b->dims, b->strides1) ? PLAN_IN_PLACE : PLAN_APART);
    plan_check_input(check, node->input2, plan_times(reach2, 4), 4,
                     in_place && plan_is_dense(b->rank, b->dims, b->strides2) ? PLAN_IN_PLACE : PLAN_APART);
}

static void check_pairs(plan_checker *check, const plan_pair *node, uint32_t op)
{
    const kn_broadcast *const b = &node->broadcast;
    uint32_t reach1 = plan_extent(b->rank, b->dims, b->strides1), reach2 = plan_extent(b->rank, b->dims, b->strides2);
    uint32_t cells = 1;
    if (op == PLAN_FLOAT_BATCH_MATMUL) {
        const kn_float_matmul_params *const p = &((const plan_float_batch_matmul *)(const void *)node)->params;
        cells = plan_times((uint32_t)p->rows, (uint32_t)p->columns);
        reach1 = plan_matrices(reach1, p->rows, p->row_stride1, p->depth, p->depth_stride1);
        reach2 = plan_matrices(reach2, p->columns, p->column_stride2, p->depth, p->depth_stride2);
    }
    check_pair(check, node, cells, op == PLAN_FLOAT_COMPARE ? 1 : 4, reach1, reach2, op == PLAN_FLOAT_PAIR);
}

static void check_resize(plan_checker *check, const plan_float_resize_bilinear *node)
{
    const kn_resize_shape *const s = &node->shape;
    const uint32_t images = plan_times(plan_times((uint32_t)s->batches, (uint32_t)s->channels), 4);
    const uint32_t input = plan_times((uint32_t)s->input_height, (uint32_t)s->input_width);
    const uint32_t output = plan_times((uint32_t)s->output_height, (uint32_t)s->output_width);
    plan_check_output(check, node->output, plan_times(images, output), 4);
    plan_check_input(check, node->input, plan_times(images, input), 4, PLAN_APART);
    plan_check_table(check, node->rows, (uint32_t)s->output_height, 0, s->input_height - 1,
                     "a row of a resized image is not a row of the input");
    plan_check_table(check, node->columns, (uint32_t)s->output_width, 0, s->input_width - 1,
                     "a column of a resized image is not a column of the input");
    check_floats(check, node->row_parts, (uint32_t)s->output_height);
    check_floats(check, node->column_parts, (uint32_t)s->output_width);
}

/* The state is written besides the output, as scratch memory is. */
static void check_svdf(plan_checker *check, const plan_float_svdf *node)
{
    const kn_float_svdf_params *const p = &node->params;
    const uint32_t batches = (uint32_t)p->batches, filters = (uint32_t)p->filters, units = filters / (uint32_t)p->rank;
    const uint32_t memory = plan_times(filters, (uint32_t)p->memory);
    plan_require(check, units > 0 && filters % (uint32_t)p->rank == 0,
                 "the filters of SVDF are no multiple of its rank");
    plan_check_output(check, node->output, plan_times(plan_times(batches, units), 4), 4);
    plan_check_scratch(check, node->state, plan_times(plan_times(batches, memory), 4));
    check_floats(check, node->input, plan_times(batches, (uint32_t)p->inputs));
    check_floats(check, node->feature_weights, plan_times(filters, (uint32_t)p->inputs));
    check_floats(check, node->time_weights, memory);
    if (node->bias != PLAN_NONE)
        check_floats(check, node->bias, units);
}

static void check_lstm(plan_checker *check, const plan_float_lstm *node)
{
    const kn_float_lstm_params *const p = &node->params;
    const uint32_t inputs = (uint32_t)p->inputs, units = (uint32_t)p->units;
    const uint32_t rows = plan_times((uint32_t)p->batches, (uint32_t)p->steps);
    const uint32_t gate_units = plan_times((uint32_t)p->gates, units);
    plan_check_output(check, node->output, plan_times(plan_times(rows, units), 4), 4);
    plan_check_scratch(check, node->state, plan_times(plan_times((uint32_t)p->batches, units), 8));
    check_floats(check, node->input, plan_times(rows, inputs));
    check_floats(check, node->input_weights, plan_times(gate_units, inputs));
    check_floats(check, node->recurrent_weights, plan_times(gate_units, units));
    check_floats(check, node->bias, gate_units);
}

#define CHECK(op, call)                                                                                                \
    case op:                                                                                                           \
        if (PLAN_HAS(op))                                                                                              \
            call;                                                                                                      \
        break

void plan_check_float(plan_checker *check, const uint32_t *record)
{
    const void *const node = record;
    const plan_float_softmax *const rows = node;
    const uint32_t op = record[0] & 0xFFFFu;
    switch (op) {
    case PLAN_FLOAT_CONV_2D:
    case PLAN_FLOAT_DEPTHWISE_CONV_2D:
    case PLAN_FLOAT_TRANSPOSE_CONV:
        plan_check_conv_float(check, record);
        break;
    case PLAN_FLOAT_MAX_POOL_2D:
    case PLAN_FLOAT_AVERAGE_POOL_2D:
        plan_check_pool(check, record, 4);
        break;
    case PLAN_FLOAT_PAIR:
    case PLAN_FLOAT_COMPARE:
    case PLAN_FLOAT_BATCH_MATMUL:
        check_pairs(check, node, op);
        break;
        CHECK(PLAN_FLOAT_REDUCE, check_reduce(check, node));
        CHECK(PLAN_FLOAT_MAP, check_rows(check, node, ((const plan_copy *)node)->count, 1, PLAN_IN_PLACE));
        CHECK(PLAN_FLOAT_SOFTMAX, check_rows(check, node, rows->rows, rows->depth, PLAN_APART));
        CHECK(PLAN_FLOAT_L2_NORMALIZATION, check_rows(check, node, rows->rows, rows->depth, PLAN_APART));
        CHECK(PLAN_FLOAT_RESIZE_BILINEAR, check_resize(check, node));
        CHECK(PLAN_FLOAT_SVDF, check_svdf(check, node));
        CHECK(PLAN_FLOAT_LSTM, check_lstm(check, node));
        CHECK(PLAN_FLOAT_ARG_MAX, plan_check_arg_max(check, record, 4));
    default:
        break;
    }
}

#endif
