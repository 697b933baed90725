/* The plan runtime: ops whose weights have 4 bits. Those of some output channels at a time are unpacked into scratch
 * memory, where the kernels for 8 bits find them. */
#include <string.h>

#include "fast.h"
#include "plan_run.h"

/* A layer, and the channels that are computed now. */
typedef struct {
    const plan_memory *memory;
    const plan_weighted *at;
    int32_t channels, at_once, taps, pixels; /* taps: weights of one channel */
    const uint32_t *packed;                  /* of the channels from `first` on */
    int32_t first, count;
    kn_channel_scales scales;
    const int32_t *bias, *folded;
    int8_t *weights, *output, *rest; /* output: of these channels alone */
    uint32_t rest_bytes;
} part;

static int8_t *place(const plan_memory *memory, uint32_t operand)
{
    return (int8_t *)(memory->arena + operand);
}

/* Whether the outputs of some channels lie apart at first: next to them are those of others. */
static int is_apart(const part *p)
{
    return p->at_once < p->channels && p->pixels > 1;
}

static void begin(part *p, const plan_memory *memory, const plan_weighted *at, int32_t at_once)
{
    const uint32_t bytes = PLAN_INT4_BLOCKS((uint32_t)at_once * (uint32_t)p->taps) * 32u;
    p->memory = memory;
    p->at = at;
    p->at_once = at_once;
    p->packed = plan_at(memory, at->weights);
    p->first = 0;
    p->weights = place(memory, at->scratch);
    p->rest = p->weights + bytes;
    p->rest_bytes = at->scratch_bytes - bytes;
    p->output = place(memory, at->output);
    if (is_apart(p)) {
        const uint32_t outputs = ((uint32_t)p->pixels * (uint32_t)at_once + 3u) & ~3u;
        p->output = p->rest;
        p->rest += outputs;
        p->rest_bytes -= outputs;
    }
}

/* Unpacks the next channels; 0 behind the last ones. */
static int next(part *p)
{
    const plan_weighted *const at = p->at;
    const int32_t left = p->channels - p->first;
    if (left <= 0)
        return 0;
    p->count = left < p->at_once ? left : p->at_once;
    const uint32_t blocks = PLAN_INT4_BLOCKS((uint32_t)p->count * (uint32_t)p->taps);
    kn_unpack_4((int32_t)blocks, p->packed, (uint32_t *)(void *)p->weights);
    p->packed += 4u * blocks;
    const int32_t scale = at->per_channel ? p->first : 0;
    const int32_t *const bias = plan_at(p->memory, at->bias), *const folded = plan_at(p->memory, at->folded);
    p->scales.multipliers = (const int32_t *)plan_at(p->memory, at->multipliers) + scale;
    p->scales.shifts = (const int32_t *)plan_at(p->memory, at->shifts) + scale;
    p->scales.per_channel = at->per_channel;
    p->bias = bias ? bias + p->first : NULL;
    p->folded = folded ? folded + p->first : NULL;
    return 1;
}

/* Brings the outputs of these channels to where they belong. */
static void finish(part *p)
{
    int8_t *const output = place(p->memory, p->at->output) + p->first;
    if (is_apart(p))
        for (int32_t pixel = 0; pixel < p->pixels; ++pixel)
            memcpy(output + pixel * p->channels, p->output + pixel * p->count, (size_t)p->count);
    else
        p->output += p->count;
    p->first += p->count;
}

static void run_conv(const plan_memory *memory, const plan_conv_4 *node)
{
    const plan_conv *const conv = &node->conv;
    const int8_t *const input = plan_at(memory, conv->at.input);
    kn_conv_shape shape = conv->shape;
    part p = {.channels = shape.output_channels,
              .taps = shape.filter_height * shape.filter_width * shape.filter_channels,
              .pixels = shape.batches * shape.output_height * shape.output_width};
    for (begin(&p, memory, &conv->at, node->at_once); next(&p); finish(&p)) {
        shape.output_channels = p.count;
        if (!p.folded ||
            !fast_conv_2d(&conv->params, &shape, &p.scales, input, p.weights, p.folded, p.rest, p.rest_bytes, p.output))
            kn_conv_2d(&conv->params, &shape, &p.scales, input, p.weights, p.bias, p.output);
    }
}

static void run_depthwise_conv(const plan_memory *memory, const plan_conv_4 *node)
{
    const plan_conv *const conv = &node->conv;
    const int8_t *const input = plan_at(memory, conv->at.input);
    part p = {.channels = conv->shape.output_channels,
              .taps = conv->shape.filter_height * conv->shape.filter_width,
              .pixels = 1};
    begin(&p, memory, &conv->at, node->at_once);
    if (next(&p) && (!p.folded || !fast_depthwise_conv_2d(&conv->params, &conv->shape, &p.scales, input, p.weights,
                                                          p.bias, p.folded, p.rest, p.rest_bytes, p.output)))
        kn_depthwise_conv_2d(&conv->params, &conv->shape, &p.scales, input, p.weights, p.bias, p.output);
}

static void run_fully_connected(const plan_memory *memory, const plan_fully_connected_4 *node)
{
    const plan_fully_connected *const dense = &node->dense;
    const int8_t *const input = plan_at(memory, dense->at.input);
    kn_fully_connected_params params = dense->params;
    part p = {.channels = params.outputs, .taps = params.inputs, .pixels = params.batches};
    for (begin(&p, memory, &dense->at, node->at_once); next(&p); finish(&p)) {
        params.outputs = p.count;
        if (!p.folded || !fast_fully_connected(&params, &p.scales, input, p.weights, p.folded, p.output))
            kn_fully_connected(&params, &p.scales, input, p.weights, p.bias, p.output);
    }
}

void plan_run_int4(const plan_memory *memory, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        PLAN_RUN(PLAN_CONV_2D_4, run_conv(memory, node));
        PLAN_RUN(PLAN_DEPTHWISE_CONV_2D_4, run_depthwise_conv(memory, node));
        PLAN_RUN(PLAN_FULLY_CONNECTED_4, run_fully_connected(memory, node));
    default:
        break;
    }
}
