/* Validation of a plan, part 7: the ops from PLAN_FIRST_LATE on. Fields are in their ranges already. */
#include "plan_check.h"

#define LAYOUT(op, words) [op - PLAN_FIRST_LATE] = PLAN_HAS(op) ? words : ""

#define CONV_4_WORDS ".........fwwwwppoozlhfccccwwccccc"

/* As the tables of plan_check_fields.c. */
static const char *const layouts[PLAN_OPS - PLAN_FIRST_LATE] = {
    LAYOUT(PLAN_TAKE, "...cccrddddddc."),
    LAYOUT(PLAN_CAST, "..c.."),
    LAYOUT(PLAN_INTEGERS, "...rdddddddddddddddddd..."),
    LAYOUT(PLAN_DIV, "...rddddddddddddddddddoozmelhf"),
    LAYOUT(PLAN_SOFTMAX_8_16, "..cqmuv"),
    LAYOUT(PLAN_SVDF_8, "......cccccozmemez"),
    LAYOUT(PLAN_CONV_2D_4, CONV_4_WORDS),
    LAYOUT(PLAN_DEPTHWISE_CONV_2D_4, CONV_4_WORDS),
    LAYOUT(PLAN_FULLY_CONNECTED_4, ".........fcccoozlhfc"),
};

const char *plan_layout_from_64(uint32_t op)
{
    return layouts[op - PLAN_FIRST_LATE];
}

static void check_take(plan_checker *check, const plan_take *node)
{
    const kn_take_params *const p = &node->params;
    const uint32_t images = plan_times((uint32_t)p->batches, (uint32_t)p->outer);
    const uint32_t rows = plan_elements(check, p->depth, p->dims);
    const uint32_t tuples = plan_times((uint32_t)p->batches, (uint32_t)p->picks);
    plan_require(check, p->index_bytes == 4 || p->index_bytes == 8, "an index has not 4 or 8 bytes");
    if (check->why)
        return;
    plan_check_output(check, node->output, plan_times(plan_times(images, (uint32_t)p->picks), (uint32_t)p->inner), 1);
    plan_check_input(check, node->input, plan_times(plan_times(images, rows), (uint32_t)p->inner), 1, PLAN_APART);
    plan_check_input(check, node->indices, plan_times(plan_times(tuples, (uint32_t)p->depth), (uint32_t)p->index_bytes),
                     4, PLAN_APART);
}

static uint32_t bytes_of(int32_t type)
{
    switch (type) {
    case KN_INT64:
        return 8;
    case KN_FLOAT32:
    case KN_INT32:
        return 4;
    case KN_INT16:
        return 2;
    default:
        return 1;
    }
}

static void check_cast(plan_checker *check, const plan_cast *node)
{
    const uint32_t count = (uint32_t)node->count, from = bytes_of(node->from), to = bytes_of(node->to);
    plan_require(check, (uint32_t)node->from < KN_TYPES && (uint32_t)node->to < KN_TYPES, "a type of CAST is unknown");
    plan_check_output(check, node->output, plan_times(count, to), to < 4 ? to : 4);
    plan_check_input(check, node->input, plan_times(count, from), from < 4 ? from : 4, PLAN_APART);
}

static void check_integers(plan_checker *check, const plan_integers *node)
{
    plan_require(check, (uint32_t)node->params.operation < KN_INTEGER_OPERATIONS,
                 "an operation of integers is not in 0..7");
    plan_require(check, node->params.low <= node->params.high, "a range of integers ends before it begins");
}

static void check_softmax_8_16(plan_checker *check, const plan_softmax *node)
{
    const uint32_t count = plan_times((uint32_t)node->params.rows, (uint32_t)node->params.depth);
    plan_check_output(check, node->output, plan_times(count, 2), 2);
    plan_check_input(check, node->input, count, 1, PLAN_APART);
}

#define CHECK(op, call)                                                                                                \
    case op:                                                                                                           \
        if (PLAN_HAS(op))                                                                                              \
            call;                                                                                                      \
        break

void plan_check_from_64(plan_checker *check, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        CHECK(PLAN_TAKE, check_take(check, node));
        CHECK(PLAN_CAST, check_cast(check, node));
        CHECK(PLAN_INTEGERS, check_integers(check, node));
        CHECK(PLAN_SOFTMAX_8_16, check_softmax_8_16(check, node));
        CHECK(PLAN_SVDF_8, plan_check_svdf(check, node, 1));
        CHECK(PLAN_CONV_2D_4, plan_check_conv_4(check, record));
        CHECK(PLAN_DEPTHWISE_CONV_2D_4, plan_check_conv_4(check, record));
        CHECK(PLAN_FULLY_CONNECTED_4, plan_check_fully_connected_4(check, record));
    default:
        break;
    }
}
