/* Validation of a plan, part 6: the ops from PLAN_FIRST_MORE on that have records of their own. Fields are in their
 * ranges already. */
#include "plan_check.h"

static void check_reduce(plan_checker *check, const plan_reduce *node)
{
    const kn_reduce_params *const p = &node->params;
    const uint32_t bytes = (uint32_t)p->item_bytes;
    uint32_t kept = bytes;
    for (int32_t d = 0; d < p->rank; ++d)
        if (!p->reduced[d])
            kept = plan_times(kept, (uint32_t)p->dims[d]);
    plan_check_output(check, node->output, kept, bytes);
    plan_check_input(check, node->input, plan_times(plan_elements(check, p->rank, p->dims), bytes), bytes, PLAN_APART);
}

void plan_check_arg_max(plan_checker *check, const uint32_t *record, uint32_t bytes)
{
    const plan_arg_max *const node = (const plan_arg_max *)(const void *)record;
    const kn_arg_params *const p = &node->params;
    const uint32_t kept = plan_times((uint32_t)p->outer, (uint32_t)p->inner);
    plan_check_output(check, node->output, plan_times(kept, 4), 4);
    plan_check_input(check, node->input, plan_times(plan_times(kept, (uint32_t)p->size), bytes), bytes, PLAN_APART);
}

static void check_select(plan_checker *check, const plan_select *node)
{
    const kn_choice *const c = &node->choice;
    plan_check_output(check, node->output, plan_elements(check, c->rank, c->dims), 1);
    plan_check_input(check, node->condition, plan_extent(c->rank, c->dims, c->strides0), 1, PLAN_APART);
    plan_check_input(check, node->input1, plan_extent(c->rank, c->dims, c->strides1), 1, PLAN_APART);
    plan_check_input(check, node->input2, plan_extent(c->rank, c->dims, c->strides2), 1, PLAN_APART);
}

static void check_parts(plan_checker *check, uint32_t places, uint32_t parts, int32_t count, int32_t size)
{
    plan_check_table(check, places, (uint32_t)count, 0, size - 1,
                     "a row or column of a resized image is not one of the input");
    plan_check_table(check, parts, (uint32_t)count, 0, 1024, "a part of a row or column is not in 0..1024");
}

static void check_resize_bilinear(plan_checker *check, const plan_resize_bilinear *node, uint32_t bytes)
{
    const kn_resize_shape *const s = &node->shape;
    const uint32_t images = plan_times((uint32_t)s->batches, (uint32_t)s->channels);
    const uint32_t input = plan_times((uint32_t)s->input_height, (uint32_t)s->input_width);
    const uint32_t output = plan_times((uint32_t)s->output_height, (uint32_t)s->output_width);
    plan_check_output(check, node->output, plan_times(plan_times(images, output), bytes), bytes);
    plan_check_input(check, node->input, plan_times(plan_times(images, input), bytes), bytes, PLAN_APART);
    check_parts(check, node->rows, node->row_parts, s->output_height, s->input_height);
    check_parts(check, node->columns, node->column_parts, s->output_width, s->input_width);
}

uint32_t plan_matrices(uint32_t first, int32_t size1, int32_t stride1, int32_t size2, int32_t stride2)
{
    const int32_t dims[] = {size1, size2}, strides[] = {stride1, stride2};
    const uint32_t one = plan_extent(2, dims, strides);
    return first == PLAN_TOO_MANY || one == PLAN_TOO_MANY ? PLAN_TOO_MANY : first + one - 1u;
}

static void check_batch_matmul(plan_checker *check, const plan_batch_matmul *node, uint32_t bytes)
{
    const kn_broadcast *const b = &node->at.broadcast;
    const kn_matmul_params *const p = &node->params;
    const uint32_t cells = plan_times(plan_times((uint32_t)p->rows, (uint32_t)p->columns), bytes);
    const uint32_t items1 =
        plan_matrices(plan_extent(b->rank, b->dims, b->strides1), p->rows, p->row_stride1, p->depth, p->depth_stride1);
    const uint32_t items2 = plan_matrices(plan_extent(b->rank, b->dims, b->strides2), p->columns, p->column_stride2,
                                          p->depth, p->depth_stride2);
    plan_check_output(check, node->at.output, plan_times(plan_elements(check, b->rank, b->dims), cells), bytes);
    plan_check_input(check, node->at.input1, plan_times(items1, bytes), bytes, PLAN_APART);
    plan_check_input(check, node->at.input2, plan_times(items2, bytes), bytes, PLAN_APART);
}

static void check_l2_normalization(plan_checker *check, const plan_l2_normalization *node)
{
    const uint32_t count = plan_times((uint32_t)node->rows, (uint32_t)node->depth);
    plan_check_output(check, node->output, count, 1);
    plan_check_input(check, node->input, count, 1, PLAN_APART);
}

static void check_softmax_16(plan_checker *check, const plan_softmax_16 *node)
{
    const uint32_t count = plan_times((uint32_t)node->params.rows, (uint32_t)node->params.depth);
    plan_check_output(check, node->output, plan_times(count, 2), 2);
    plan_check_input(check, node->input, plan_times(count, 2), 2, PLAN_APART);
    plan_check_input(check, node->exp_table, 2 * KN_TABLE_16, 2, PLAN_APART);
    plan_check_input(check, node->reciprocal_table, 2 * KN_TABLE_16, 2, PLAN_APART);
}

/* The state is written besides the output, as scratch memory is. */
void plan_check_svdf(plan_checker *check, const plan_svdf *node, uint32_t bytes)
{
    const kn_svdf_params *const p = &node->params;
    const uint32_t batches = (uint32_t)p->batches, filters = (uint32_t)p->filters, units = filters / (uint32_t)p->rank;
    const uint32_t time = plan_times(plan_times(filters, (uint32_t)p->memory), bytes);
    plan_require(check, units > 0 && filters % (uint32_t)p->rank == 0,
                 "the filters of SVDF are no multiple of its rank");
    plan_check_output(check, node->output, plan_times(batches, units), 1);
    plan_check_scratch(check, node->state, plan_times(batches, time));
    plan_check_input(check, node->input, plan_times(batches, (uint32_t)p->inputs), 1, PLAN_APART);
    plan_check_input(check, node->feature_weights, plan_times(filters, (uint32_t)p->inputs), 1, PLAN_APART);
    plan_check_input(check, node->time_weights, time, bytes, PLAN_APART);
    if (node->bias != PLAN_NONE)
        plan_check_input(check, node->bias, plan_times(units, 4), 4, PLAN_APART);
}

static void check_lstm(plan_checker *check, const plan_lstm *node)
{
    const kn_lstm_params *const p = &node->params;
    const uint32_t gates = (uint32_t)p->gates, inputs = (uint32_t)p->inputs, units = (uint32_t)p->units;
    const uint32_t rows = plan_times((uint32_t)p->batches, (uint32_t)p->steps), gate_units = plan_times(gates, units);
    plan_check_output(check, node->output, plan_times(rows, units), 1);
    plan_check_scratch(check, node->state, plan_times(plan_times((uint32_t)p->batches, units), 4));
    plan_check_input(check, node->input, plan_times(rows, inputs), 1, PLAN_APART);
    plan_check_input(check, node->input_weights, plan_times(gate_units, inputs), 1, PLAN_APART);
    plan_check_input(check, node->recurrent_weights, plan_times(gate_units, units), 1, PLAN_APART);
    plan_check_input(check, node->bias, plan_times(gate_units, 4), 4, PLAN_APART);
    plan_check_table(check, node->multipliers, 2 * gates, 0, INT32_MAX, "a multiplier is negative");
    plan_check_table(check, node->shifts, 2 * gates, -31, 30, "a shift is not in -31..30");
}

static void check_lstm_16(plan_checker *check, const plan_lstm_16 *node)
{
    const kn_lstm_16_params *const p = &node->params;
    const uint32_t inputs = (uint32_t)p->inputs, units = (uint32_t)p->units, gate_units = plan_times(4, units);
    const uint32_t rows = plan_times((uint32_t)p->batches, (uint32_t)p->steps);
    plan_check_output(check, node->output, plan_times(plan_times(rows, units), 2), 2);
    plan_check_scratch(check, node->state, plan_times(plan_times((uint32_t)p->batches, units), 4));
    plan_check_input(check, node->input, plan_times(plan_times(rows, inputs), 2), 2, PLAN_APART);
    plan_check_input(check, node->input_weights, plan_times(gate_units, inputs), 1, PLAN_APART);
    plan_check_input(check, node->recurrent_weights, plan_times(gate_units, units), 1, PLAN_APART);
    plan_check_input(check, node->bias, plan_times(gate_units, 8), 4, PLAN_APART);
    plan_check_input(check, node->table, 2 * KN_SIGMOID_TABLE, 2, PLAN_APART);
    plan_check_table(check, node->multipliers, 8, 0, INT32_MAX, "a multiplier is negative");
    plan_check_table(check, node->shifts, 8, -31, 7, "a shift of 64-bit sums is not in -31..7");
}

#define CHECK(op, call)                                                                                                \
    case op:                                                                                                           \
        if (PLAN_HAS(op))                                                                                              \
            call;                                                                                                      \
        break

void plan_check_more(plan_checker *check, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        CHECK(PLAN_REDUCE, check_reduce(check, node));
        CHECK(PLAN_ARG_MAX, plan_check_arg_max(check, record, 1));
        CHECK(PLAN_SELECT, check_select(check, node));
        CHECK(PLAN_RESIZE_BILINEAR, check_resize_bilinear(check, node, 1));
        CHECK(PLAN_BATCH_MATMUL, check_batch_matmul(check, node, 1));
        CHECK(PLAN_L2_NORMALIZATION, check_l2_normalization(check, node));
        CHECK(PLAN_SOFTMAX_16, check_softmax_16(check, node));
        CHECK(PLAN_FILL, plan_check_output(check, ((const plan_fill *)node)->output,
                                           (uint32_t)((const plan_fill *)node)->count, 1));
        CHECK(PLAN_SVDF, plan_check_svdf(check, node, 2));
        CHECK(PLAN_LSTM, check_lstm(check, node));
        CHECK(PLAN_RESIZE_BILINEAR_16, check_resize_bilinear(check, node, 2));
        CHECK(PLAN_BATCH_MATMUL_16, check_batch_matmul(check, node, 2));
        CHECK(PLAN_LSTM_16, check_lstm_16(check, node));
    default:
        if (PLAN_HAS_FLOATS && (record[0] & 0xFFFFu) >= PLAN_FIRST_FLOAT)
            plan_check_float(check, record);
        else if (PLAN_HAS_LATE)
            plan_check_from_64(check, record);
        break;
    }
}
