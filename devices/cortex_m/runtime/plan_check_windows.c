/* Validation of a plan, part 4: ops with weights, and windows that slide over an image. */
#include "plan_check.h"

/* Inputs under one window. The fast kernels take up to 9 bytes of scratch for each, counted in 32 bits. */
#define MAX_WINDOW (1u << 26)

static uint32_t volume(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return plan_times(plan_times((uint32_t)a, (uint32_t)b), plan_times((uint32_t)c, (uint32_t)d));
}

/* Every window starts before the input's end and ends behind its start, along one dimension. */
static void check_window(plan_checker *check, int32_t input, int32_t filter, int32_t stride, int32_t dilation,
                         int32_t pad, int32_t output)
{
    const int32_t span = (filter - 1) * dilation + 1; /* below 2^30: both fit in 15 bits */
    plan_require(check, pad < span, "a window lies wholly in the padding before the input");
    plan_require(check, plan_times((uint32_t)output - 1u, (uint32_t)stride) < (uint32_t)input + (uint32_t)pad,
                 "the output is larger than the windows that fit on the input");
}

/* How the tensors of an op with weights are stored. */
typedef struct {
    uint32_t item_bytes; /* of an activation */
    uint32_t bias_bytes;
    int32_t most_shift;
    uint32_t weight_bytes;
    uint32_t at_once; /* output channels that are unpacked at a time, of weights of 4 bits; 0: they have more */
} storage;

static const storage eight_bits = {1, 4, 30, 1, 0};

/* Whether anything but the int8 kernels is built. */
#define HAS_WIDER (PLAN_HAS_CONV_16 || PLAN_HAS_FLOATS)

/* Weights of 4 bits, and the memory that they are unpacked into (plan_from_64.h). `outputs`: of one channel. */
static void check_packed(plan_checker *check, const plan_weighted *at, uint32_t at_once, uint32_t weights,
                         uint32_t channels, uint32_t outputs)
{
    const uint32_t taps = weights / channels;
    const uint32_t run = plan_times(at_once, taps), last = plan_times(channels % at_once, taps);
    uint32_t scratch = PLAN_INT4_BLOCKS(run) * 32u;
    plan_require(check, weights != PLAN_TOO_MANY && at_once <= channels,
                 "more channels of 4-bit weights are unpacked than there are");
    if (check->why)
        return;
    if (at_once < channels && outputs > 1)
        scratch += (plan_times(outputs, at_once) + 3u) & ~3u;
    plan_require(check, at->scratch != PLAN_NONE && at->scratch_bytes >= scratch,
                 "there is too little scratch memory for weights of 4 bits");
    const uint32_t whole = plan_times(channels / at_once, PLAN_INT4_BLOCKS(run) * 16u);
    const uint32_t rest = PLAN_INT4_BLOCKS(last) * 16u;
    plan_check_input(check, at->weights, whole > PLAN_TOO_MANY - rest ? PLAN_TOO_MANY : whole + rest, 4, PLAN_APART);
}

/* What CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED have in common, given the elements of their
 * tensors. */
static void check_weighted(plan_checker *check, const plan_weighted *at, const storage *stored, uint32_t input,
                           uint32_t weights, int32_t channels, uint32_t output)
{
    const uint32_t scales = at->per_channel ? (uint32_t)channels : 1u;
    const uint32_t bias_bytes = plan_times((uint32_t)channels, PLAN_HAS_CONV_16 ? stored->bias_bytes : 4);
    const uint32_t item = HAS_WIDER ? stored->item_bytes : 1;
    const uint32_t weight = PLAN_HAS_FLOATS ? stored->weight_bytes : 1;
    plan_check_output(check, at->output, plan_times(output, item), item);
    plan_check_scratch(check, at->scratch, at->scratch_bytes);
    plan_check_input(check, at->input, plan_times(input, item), item, PLAN_APART);
    if (PLAN_HAS_INT4 && stored->at_once > 0)
        check_packed(check, at, stored->at_once, weights, (uint32_t)channels, output / (uint32_t)channels);
    else
        plan_check_input(check, at->weights, plan_bytes(weights, weight), weight, PLAN_APART);
    if (at->bias != PLAN_NONE)
        plan_check_input(check, at->bias, bias_bytes, 4, PLAN_APART);
    if (PLAN_HAS_FLOATS && weight == 4) /* no scales */
        return;
    if (at->folded != PLAN_NONE)
        plan_check_input(check, at->folded, bias_bytes, 4, PLAN_APART);
    plan_check_table(check, at->multipliers, scales, 0, INT32_MAX, "a multiplier of a channel is negative");
    plan_check_table(check, at->shifts, scales, -31, PLAN_HAS_CONV_16 ? stored->most_shift : 30,
                     "a shift of a channel is out of its range");
}

static void check_conv(plan_checker *check, int depthwise, const plan_weighted *at, const storage *stored,
                       const kn_conv_params *p, const kn_conv_shape *s)
{
    const uint32_t input = volume(s->batches, s->input_height, s->input_width, s->input_channels);
    const uint32_t output = volume(s->batches, s->output_height, s->output_width, s->output_channels);
    uint32_t weights;
    plan_require(check, volume(1, s->filter_height, s->filter_width, s->input_channels) <= MAX_WINDOW,
                 "a window of a convolution has more than 2^26 inputs: the sizes of scratch memory would not fit");
    if (!depthwise) {
        weights = volume(s->output_channels, s->filter_height, s->filter_width, s->filter_channels);
        const int divides = s->input_channels % s->filter_channels == 0;
        plan_require(check, divides && s->output_channels % (s->input_channels / s->filter_channels) == 0,
                     "the channels of CONV_2D do not divide into groups");
    } else {
        weights = volume(1, s->filter_height, s->filter_width, s->output_channels);
        plan_require(check,
                     plan_times((uint32_t)s->input_channels, (uint32_t)s->filter_channels) ==
                         (uint32_t)s->output_channels,
                     "the channels of DEPTHWISE_CONV_2D are not the input's times the depth multiplier");
    }
    check_window(check, s->input_height, s->filter_height, p->stride_height, p->dilation_height, p->pad_top,
                 s->output_height);
    check_window(check, s->input_width, s->filter_width, p->stride_width, p->dilation_width, p->pad_left,
                 s->output_width);
    check_weighted(check, at, stored, input, weights, s->output_channels, output);
}

static void check_transpose_conv(plan_checker *check, const plan_weighted *at, const storage *stored,
                                 const kn_conv_shape *s)
{
    plan_require(check, s->filter_channels == s->input_channels,
                 "the channels of TRANSPOSE_CONV's weights are not those of its input");
    plan_require(check, volume(1, s->filter_height, s->filter_width, s->input_channels) <= MAX_WINDOW,
                 "a filter of TRANSPOSE_CONV has more than 2^26 weights");
    check_weighted(check, at, stored, volume(s->batches, s->input_height, s->input_width, s->input_channels),
                   volume(s->output_channels, s->filter_height, s->filter_width, s->input_channels), s->output_channels,
                   volume(s->batches, s->output_height, s->output_width, s->output_channels));
}

void plan_check_conv(plan_checker *check, const uint32_t *record)
{
    const plan_conv *const node = (const plan_conv *)(const void *)record;
    check_conv(check, (record[0] & 0xFFFFu) == PLAN_DEPTHWISE_CONV_2D, &node->at, &eight_bits, &node->params,
               &node->shape);
}

void plan_check_transpose_conv(plan_checker *check, const uint32_t *record)
{
    const plan_conv *const node = (const plan_conv *)(const void *)record;
    check_transpose_conv(check, &node->at, &eight_bits, &node->shape);
}

void plan_check_conv_16(plan_checker *check, const uint32_t *record)
{
    const plan_conv_16 *const node = (const plan_conv_16 *)(const void *)record;
    const uint32_t op = record[0] & 0xFFFFu;
    const storage stored = {2, node->wide ? 8 : 4, node->wide ? 7 : 30, 1, 0};
    if (op == PLAN_TRANSPOSE_CONV_16)
        check_transpose_conv(check, &node->at, &stored, &node->shape);
    else
        check_conv(check, op == PLAN_DEPTHWISE_CONV_2D_16, &node->at, &stored, &node->params, &node->shape);
}

void plan_check_conv_float(plan_checker *check, const uint32_t *record)
{
    const plan_conv *const node = (const plan_conv *)(const void *)record;
    const uint32_t op = record[0] & 0xFFFFu;
    static const storage floats = {4, 4, 0, 4, 0};
    if (op == PLAN_FLOAT_TRANSPOSE_CONV)
        check_transpose_conv(check, &node->at, &floats, &node->shape);
    else
        check_conv(check, op == PLAN_FLOAT_DEPTHWISE_CONV_2D, &node->at, &floats, &node->params, &node->shape);
}

static void check_fully_connected(plan_checker *check, const plan_fully_connected *node, const storage *stored)
{
    const kn_fully_connected_params *const p = &node->params;
    check_weighted(check, &node->at, stored, plan_times((uint32_t)p->batches, (uint32_t)p->inputs),
                   plan_times((uint32_t)p->outputs, (uint32_t)p->inputs), p->outputs,
                   plan_times((uint32_t)p->batches, (uint32_t)p->outputs));
}

void plan_check_fully_connected(plan_checker *check, const uint32_t *record)
{
    check_fully_connected(check, (const plan_fully_connected *)(const void *)record, &eight_bits);
}

void plan_check_conv_4(plan_checker *check, const uint32_t *record)
{
    const plan_conv_4 *const node = (const plan_conv_4 *)(const void *)record;
    const kn_conv_shape *const s = &node->conv.shape;
    const int depthwise = (record[0] & 0xFFFFu) == PLAN_DEPTHWISE_CONV_2D_4;
    const storage stored = {1, 4, 30, 1, (uint32_t)node->at_once};
    if (!PLAN_HAS_INT4) /* so that the functions below have one caller less where there are none */
        return;
    plan_require(check, node->at_once == s->output_channels || (!depthwise && s->filter_channels == s->input_channels),
                 "channels that belong together are unpacked apart");
    check_conv(check, depthwise, &node->conv.at, &stored, &node->conv.params, s);
}

void plan_check_fully_connected_4(plan_checker *check, const uint32_t *record)
{
    const plan_fully_connected_4 *const node = (const plan_fully_connected_4 *)(const void *)record;
    const storage stored = {1, 4, 30, 1, (uint32_t)node->at_once};
    if (PLAN_HAS_INT4)
        check_fully_connected(check, &node->dense, &stored);
}

void plan_check_pool(plan_checker *check, const uint32_t *record, uint32_t bytes)
{
    const plan_pool *const node = (const plan_pool *)(const void *)record;
    const kn_pool_params *const p = &node->params;
    if (!PLAN_HAS(PLAN_MAX_POOL_2D_16) && !PLAN_HAS(PLAN_AVERAGE_POOL_2D_16) && !PLAN_HAS_FLOATS)
        bytes = 1;
    check_window(check, p->input_height, p->filter_height, p->stride_height, 1, p->pad_top, p->output_height);
    check_window(check, p->input_width, p->filter_width, p->stride_width, 1, p->pad_left, p->output_width);
    plan_require(check, plan_times((uint32_t)p->input_height, (uint32_t)p->input_width) <= 1u << 23,
                 "a pooled image has more than 2^23 pixels: sums of a window would not fit");
    plan_check_output(check, node->output,
                      plan_bytes(volume(p->batches, p->output_height, p->output_width, p->channels), bytes), bytes);
    plan_check_input(check, node->input,
                     plan_bytes(volume(p->batches, p->input_height, p->input_width, p->channels), bytes), bytes,
                     PLAN_APART);
}
