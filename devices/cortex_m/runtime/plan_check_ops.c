/* Validation of a plan, part 5: the other ops. Fields are in their ranges already. */
#include <stddef.h>
#include <string.h>

#include "plan_check.h"

/* Whether any op on two inputs of more than 8 bits is built. */
#define HAS_WIDE_PAIRS                                                                                                 \
    (PLAN_HAS(PLAN_ADD_16) || PLAN_HAS(PLAN_SUB_16) || PLAN_HAS(PLAN_MUL_16) || PLAN_HAS(PLAN_MAXIMUM_16) ||           \
     PLAN_HAS(PLAN_MINIMUM_16) || PLAN_HAS(PLAN_COMPARE_16) || PLAN_HAS(PLAN_PRELU_16) ||                              \
     PLAN_HAS(PLAN_SQUARED_DIFFERENCE) || PLAN_HAS(PLAN_INTEGERS))

/* Pairs of items of `bytes`. */
static void check_pair(plan_checker *check, const plan_pair *node, uint32_t bytes)
{
    const kn_broadcast *const b = &node->broadcast;
    if (!HAS_WIDE_PAIRS)
        bytes = 1;
    plan_check_output(check, node->output, plan_bytes(plan_elements(check, b->rank, b->dims), bytes), bytes);
    plan_check_input(check, node->input1, plan_bytes(plan_extent(b->rank, b->dims, b->strides1), bytes), bytes,
                     plan_is_dense(b->rank, b->dims, b->strides1) ? PLAN_IN_PLACE : PLAN_APART);
    plan_check_input(check, node->input2, plan_bytes(plan_extent(b->rank, b->dims, b->strides2), bytes), bytes,
                     plan_is_dense(b->rank, b->dims, b->strides2) ? PLAN_IN_PLACE : PLAN_APART);
}

static void check_mean(plan_checker *check, const plan_mean *node, uint32_t bytes)
{
    const kn_mean_params *const p = &node->params;
    if (!PLAN_HAS(PLAN_MEAN_16))
        bytes = 1;
    uint32_t kept = bytes;
    for (int32_t d = 0; d < p->rank; ++d)
        if (!p->reduced[d])
            kept = plan_times(kept, (uint32_t)p->dims[d]);
    plan_check_output(check, node->output, kept, bytes);
    plan_check_input(check, node->input, plan_bytes(plan_elements(check, p->rank, p->dims), bytes), bytes, PLAN_APART);
}

static void check_concatenation(plan_checker *check, const plan_concatenation *node)
{
    const uint32_t count = (uint32_t)node->inputs;
    const uint32_t *const inputs = (const uint32_t *)(const void *)(node + 1);
    const uint32_t *const tables = inputs + count;
    const uint32_t *const sizes = tables + count;
    uint32_t row = 0;
    for (uint32_t i = 0; i < count; ++i) {
        plan_require(check, sizes[i] > 0, "a CONCATENATION of an input of size 0");
        row = sizes[i] > PLAN_LIMIT - row ? PLAN_LIMIT : row + sizes[i];
    }
    plan_check_output(check, node->output, plan_times((uint32_t)node->outer, row), 1);
    for (uint32_t i = 0; i < count; ++i) {
        plan_check_input(check, inputs[i], plan_times((uint32_t)node->outer, sizes[i]), 1, PLAN_APART);
        if (tables[i] != PLAN_NONE)
            plan_check_input(check, tables[i], 256, 1, PLAN_APART);
    }
}

static void check_pad(plan_checker *check, const plan_pad *node)
{
    const kn_pad_params *const p = &node->params;
    uint32_t padded = 1;
    for (int32_t d = 0; d < p->rank; ++d)
        padded = plan_times(padded, (uint32_t)p->before[d] + (uint32_t)p->input_dims[d] + (uint32_t)p->after[d]);
    plan_check_output(check, node->output, padded, 1);
    plan_check_input(check, node->input, plan_elements(check, p->rank, p->input_dims), 1, PLAN_APART);
}

static void check_gather(plan_checker *check, const plan_gather *node)
{
    const kn_view *const view = &node->view;
    int64_t lowest = view->start;
    int64_t highest = view->start;
    for (int32_t d = 0; d < view->rank; ++d) {
        const int64_t reach = ((int64_t)view->dims[d] - 1) * view->strides[d];
        if (reach > PLAN_LIMIT || reach < -(int64_t)PLAN_LIMIT) {
            plan_complain(check, "a view reads outside its input");
            return;
        }
        lowest += reach < 0 ? reach : 0;
        highest += reach > 0 ? reach : 0;
    }
    plan_require(check, lowest >= 0, "a view reads before its input's first element");
    plan_check_output(check, node->output, plan_elements(check, view->rank, view->dims), 1);
    plan_check_input(check, node->input, highest < PLAN_LIMIT ? (uint32_t)highest + 1u : PLAN_TOO_MANY, 1, PLAN_APART);
}

static void check_resize(plan_checker *check, const plan_resize *node)
{
    const kn_resize_shape *const s = &node->shape;
    const uint32_t images = plan_times((uint32_t)s->batches, (uint32_t)s->channels);
    const uint32_t input = plan_times((uint32_t)s->input_height, (uint32_t)s->input_width);
    const uint32_t output = plan_times((uint32_t)s->output_height, (uint32_t)s->output_width);
    plan_check_output(check, node->output, plan_times(images, output), 1);
    plan_check_input(check, node->input, plan_times(images, input), 1, PLAN_APART);
    plan_check_table(check, node->rows, (uint32_t)s->output_height, 0, s->input_height - 1,
                     "a row of a resized image is not a row of the input");
    plan_check_table(check, node->columns, (uint32_t)s->output_width, 0, s->input_width - 1,
                     "a column of a resized image is not a column of the input");
}

/* Ops whose record begins with head, input, output, count. */
static void check_items(plan_checker *check, const plan_copy *node, uint32_t input_bytes, uint32_t output_bytes,
                        int overlap)
{
    const uint32_t count = (uint32_t)node->count;
    plan_check_output(check, node->output, plan_times(count, output_bytes), output_bytes);
    plan_check_input(check, node->input, plan_times(count, input_bytes), input_bytes, overlap);
}

/* From or to float32; the other side has items of `bytes`. */
static void check_float(plan_checker *check, const plan_quantize *node, int from_float, uint32_t bytes)
{
    uint32_t bits;
    if (!PLAN_HAS(PLAN_QUANTIZE_16) && !PLAN_HAS(PLAN_DEQUANTIZE_16))
        bytes = 1;
    memcpy(&bits, &node->scale, sizeof bits);
    plan_require(check, bits >= 0x00800000u && bits < 0x7F800000u, "a scale is not a positive, finite, normal number");
    check_items(check, (const plan_copy *)(const void *)node, from_float ? 4u : bytes, from_float ? bytes : 4u,
                PLAN_APART);
}

static void check_elementwise(plan_checker *check, const plan_copy *node, int overlap)
{
    check_items(check, node, 1, 1, overlap);
}

static int is_item(int32_t bytes)
{
    return bytes == 1 || bytes == 2 || bytes == 4;
}

/* Zero points are in -128..127 already. */
static void check_requantize(plan_checker *check, const plan_requantize *node)
{
    const kn_rescale_params *const p = &node->params;
    if (!is_item(node->input_bytes) || !is_item(node->output_bytes)) {
        plan_complain(check, "an item of REQUANTIZE has not 1, 2 or 4 bytes");
        return;
    }
    const int32_t high = node->output_bytes == 1 ? INT8_MAX : node->output_bytes == 2 ? INT16_MAX : INT32_MAX;
    /* SOFTMAX of 8 bits to 16 has its zero at the lowest value. */
    const int32_t most = node->input_bytes == 1 ? INT8_MAX : INT16_MAX;
    plan_require(check,
                 node->input_bytes == 4 ? p->input_zero_point == 0
                                        : p->input_zero_point >= -most - 1 && p->input_zero_point <= most,
                 "a zero point of REQUANTIZE is not one of its input");
    plan_require(check, node->output_bytes == 1 || p->output_zero_point == 0, "a zero point of REQUANTIZE is not 0");
    plan_require(check,
                 p->activation_min <= p->activation_max && p->activation_min >= -high - 1 && p->activation_max <= high,
                 "the range of REQUANTIZE is not one of its output");
    check_items(check, (const plan_copy *)(const void *)node, (uint32_t)node->input_bytes, (uint32_t)node->output_bytes,
                PLAN_APART);
}

/* Items of two bytes become one byte: nothing can be in place. */
static void check_compare_16(plan_checker *check, const plan_pair *node)
{
    const kn_broadcast *const b = &node->broadcast;
    plan_check_output(check, node->output, plan_elements(check, b->rank, b->dims), 1);
    plan_check_input(check, node->input1, plan_times(plan_extent(b->rank, b->dims, b->strides1), 2), 2, PLAN_APART);
    plan_check_input(check, node->input2, plan_times(plan_extent(b->rank, b->dims, b->strides2), 2), 2, PLAN_APART);
}

static void check_squared_difference(plan_checker *check, const plan_squared_difference *node)
{
    const kn_squared_params *const p = &node->params;
    plan_require(check, p->item_bytes == 1 || (p->input1_offset | p->input2_offset | p->output_offset) == 0,
                 "an offset of 16-bit activations is not 0");
    check_pair(check, &node->at, (uint32_t)p->item_bytes);
}

static void check_softmax(plan_checker *check, const plan_softmax *node)
{
    const uint32_t count = plan_times((uint32_t)node->params.rows, (uint32_t)node->params.depth);
    plan_check_output(check, node->output, count, 1);
    plan_check_input(check, node->input, count, 1, PLAN_APART);
}

#define CHECK(op, call)                                                                                                \
    case op:                                                                                                           \
        if (PLAN_HAS(op))                                                                                              \
            call;                                                                                                      \
        break

/* Ops from PLAN_FIRST_MORE on whose records are those of earlier ones. */
static void check_rarer(plan_checker *check, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        CHECK(PLAN_COMPARE, check_pair(check, node, 1));
        CHECK(PLAN_PRELU, check_pair(check, node, 1));
        CHECK(PLAN_MAX_POOL_2D_16, plan_check_pool(check, record, 2));
        CHECK(PLAN_AVERAGE_POOL_2D_16, plan_check_pool(check, record, 2));
        CHECK(PLAN_MEAN_16, check_mean(check, node, 2));
        CHECK(PLAN_MUL_16, check_pair(check, node, 2));
        CHECK(PLAN_MAXIMUM_16, check_pair(check, node, 2));
        CHECK(PLAN_MINIMUM_16, check_pair(check, node, 2));
        CHECK(PLAN_DIV, check_pair(check, node, 1));
    case PLAN_INTEGERS:
        if (PLAN_HAS(PLAN_INTEGERS)) {
            check_pair(check, node, 4);
            plan_check_from_64(check, record);
        }
        break;
        CHECK(PLAN_COMPARE_16, check_compare_16(check, node));
        CHECK(PLAN_PRELU_16, check_pair(check, node, 2));
        CHECK(PLAN_SQUARED_DIFFERENCE, check_squared_difference(check, node));
        CHECK(PLAN_SQRT_16, check_items(check, node, 2, 2, PLAN_IN_PLACE));
        CHECK(PLAN_ASSIGN, check_elementwise(check, node, PLAN_ANY_OVERLAP));
        CHECK(PLAN_QUANTIZE_16, check_float(check, node, 1, 2));
        CHECK(PLAN_DEQUANTIZE_16, check_float(check, node, 0, 2));
    case PLAN_LOOKUP_16:
    case PLAN_SIGMOID_16:
        if (PLAN_HAS(PLAN_LOOKUP_16) || PLAN_HAS(PLAN_SIGMOID_16)) {
            check_items(check, node, 2, 2, PLAN_IN_PLACE);
            plan_check_input(check, ((const plan_lookup_16 *)node)->table,
                             2 * ((record[0] & 0xFFFFu) == PLAN_LOOKUP_16 ? KN_TABLE_16 : KN_SIGMOID_TABLE), 2,
                             PLAN_APART);
        }
        break;
    default:
        if (PLAN_HAS_MORE)
            plan_check_more(check, record);
        break;
    }
}

void plan_check_node(plan_checker *check, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
    case PLAN_CONV_2D:
    case PLAN_DEPTHWISE_CONV_2D:
        plan_check_conv(check, record);
        break;
    case PLAN_TRANSPOSE_CONV:
        if (PLAN_HAS(PLAN_TRANSPOSE_CONV))
            plan_check_transpose_conv(check, record);
        break;
    case PLAN_CONV_2D_16:
    case PLAN_DEPTHWISE_CONV_2D_16:
    case PLAN_TRANSPOSE_CONV_16:
        if (PLAN_HAS_CONV_16)
            plan_check_conv_16(check, record);
        break;
    case PLAN_FULLY_CONNECTED:
        plan_check_fully_connected(check, record);
        break;
    case PLAN_MAX_POOL_2D:
    case PLAN_AVERAGE_POOL_2D:
        plan_check_pool(check, record, 1);
        break;
    case PLAN_MEAN:
        check_mean(check, node, 1);
        break;
    case PLAN_ADD:
    case PLAN_SUB:
    case PLAN_MUL:
    case PLAN_MAXIMUM:
    case PLAN_MINIMUM:
        check_pair(check, node, 1);
        break;
    case PLAN_ADD_16:
    case PLAN_SUB_16:
        if (PLAN_HAS(PLAN_ADD_16) || PLAN_HAS(PLAN_SUB_16))
            check_pair(check, node, 2);
        break;
    case PLAN_CONCATENATION:
        check_concatenation(check, node);
        break;
    case PLAN_COPY:
        check_elementwise(check, node, PLAN_ANY_OVERLAP);
        break;
    case PLAN_PAD:
        check_pad(check, node);
        break;
    case PLAN_SOFTMAX:
        check_softmax(check, node);
        break;
    case PLAN_LOOKUP:
        check_elementwise(check, node, PLAN_IN_PLACE);
        plan_check_input(check, ((const plan_lookup *)node)->table, 256, 1, PLAN_APART);
        break;
    case PLAN_RESCALE:
    case PLAN_LEAKY_RELU:
    case PLAN_HARD_SWISH:
    case PLAN_FLIP_SIGN:
        check_elementwise(check, node, PLAN_IN_PLACE);
        break;
    case PLAN_LEAKY_RELU_16:
        if (PLAN_HAS(PLAN_LEAKY_RELU_16))
            check_items(check, node, 2, 2, PLAN_IN_PLACE);
        break;
    case PLAN_REQUANTIZE:
        if (PLAN_HAS(PLAN_REQUANTIZE))
            check_requantize(check, node);
        break;
    case PLAN_GATHER:
        check_gather(check, node);
        break;
    case PLAN_RESIZE_NEAREST:
        check_resize(check, node);
        break;
    case PLAN_QUANTIZE:
        check_float(check, node, 1, 1);
        break;
    case PLAN_DEQUANTIZE:
        check_float(check, node, 0, 1);
        break;
    default: /* the op is known to be one of enum plan_op */
        check_rarer(check, record);
        break;
    }
}
