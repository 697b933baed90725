/* See cases.h. */
#include "cases.h"

static uint32_t state;

void cases_seed(uint32_t seed)
{
    state = seed * 2654435761u + 1u;
}

/* xorshift32 (Marsaglia, "Xorshift RNGs", 2003). */
uint32_t cases_random(void)
{
    if (state == 0)
        state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

int32_t cases_between(int32_t low, int32_t high)
{
    return low + (int32_t)((cases_random() >> 8) % (uint32_t)(high - low + 1));
}

static int chance(int32_t one_in)
{
    return cases_between(1, one_in) == 1;
}

void cases_fill(int8_t *to, int32_t count)
{
    static const int8_t ends[4] = {-128, 127, -127, 0};
    for (int32_t i = 0; i < count; ++i) {
        const uint32_t random = cases_random() >> 7;
        to[i] = random & 0x700u ? (int8_t)random : ends[(random >> 11) & 3u];
    }
}

static void draw_scales(layer_case *layer, int32_t channels)
{
    const int32_t usual = cases_between(-12, 0);
    layer->scales = (kn_channel_scales){layer->multipliers, layer->shifts, !chance(3)};
    for (int32_t i = 0; i < (layer->scales.per_channel ? channels : 1); ++i) {
        layer->multipliers[i] = cases_between(1 << 30, INT32_MAX);
        if (chance(20))
            layer->multipliers[i] = chance(2) ? INT32_MAX : chance(2) ? 1 << 30 : 0;
        layer->shifts[i] = chance(20) ? cases_between(-31, 30) : usual + cases_between(-1, 1);
    }
    layer->with_bias = !chance(6);
    for (int32_t i = 0; i < channels; ++i) {
        layer->bias[i] = (int32_t)cases_random() >> (chance(20) ? 0 : cases_between(12, 24));
        if (!layer->with_bias)
            layer->bias[i] = 0;
    }
}

static void draw_ending(layer_case *layer)
{
    const int32_t a = cases_between(-128, 127), b = cases_between(-128, 127);
    kn_conv_params *params = &layer->params;
    params->input_offset = chance(4) ? (chance(2) ? 128 : -127) : cases_between(-127, 128);
    params->weights_offset = chance(4) ? cases_between(-127, 128) : 0;
    params->output_offset = cases_between(-128, 127);
    params->activation_min = -128;
    params->activation_max = 127;
    if (chance(3)) {
        params->activation_min = a < b ? a : b;
        params->activation_max = a < b ? b : a;
    }
    params->rounding = chance(5) ? KN_ROUND_SINGLE : KN_ROUND_DOUBLE;
}

/* Sizes and padding along one dimension. */
static void draw_axis(int32_t *input, int32_t *filter, int32_t *output, int32_t *stride, int32_t *dilation,
                      int32_t *pad)
{
    const int same = chance(2);
    int32_t span;
    do {
        *input = cases_between(1, 9);
        *filter = chance(3) ? 1 : cases_between(1, 5);
        *stride = chance(3) ? cases_between(1, 3) : 1;
        *dilation = chance(5) ? cases_between(1, 3) : 1;
        span = (*filter - 1) * *dilation + 1;
        *output = same ? (*input + *stride - 1) / *stride : (*input + *stride - span) / *stride;
    } while (!same && *input < span);
    *pad = 0;
    if (same) {
        const int32_t total = (*output - 1) * *stride + span - *input;
        *pad = total > 0 ? total / 2 : 0;
    }
    /* More padding than any converter writes, with windows wholly outside. */
    if (chance(10))
        *pad += cases_between(1, 12);
}

static int32_t draw_channels(int32_t most)
{
    return chance(2) ? cases_between(1, most) : 4 * cases_between(1, most / 4);
}

static void draw_window(layer_case *layer, int32_t limit)
{
    kn_conv_shape *shape = &layer->shape;
    kn_conv_params *params = &layer->params;
    do {
        shape->batches = chance(4) ? cases_between(1, 3) : 1;
        draw_axis(&shape->input_height, &shape->filter_height, &shape->output_height, &params->stride_height,
                  &params->dilation_height, &params->pad_top);
        draw_axis(&shape->input_width, &shape->filter_width, &shape->output_width, &params->stride_width,
                  &params->dilation_width, &params->pad_left);
        shape->input_channels = draw_channels(layer->kind == CASE_DEPTHWISE ? 40 : 70);
        if (layer->kind == CASE_DEPTHWISE) {
            shape->filter_channels = chance(3) ? cases_between(1, 3) : 1;
            shape->output_channels = shape->input_channels * shape->filter_channels;
            layer->weights_bytes = shape->filter_height * shape->filter_width * shape->output_channels;
        } else {
            const int32_t groups = chance(12) ? 2 : 1;
            shape->filter_channels = shape->input_channels;
            shape->input_channels *= groups;
            shape->output_channels = draw_channels(36) * groups;
            layer->weights_bytes =
                shape->filter_height * shape->filter_width * shape->filter_channels * shape->output_channels;
        }
        layer->input_bytes = shape->batches * shape->input_height * shape->input_width * shape->input_channels;
        layer->output_bytes = shape->batches * shape->output_height * shape->output_width * shape->output_channels;
    } while (layer->input_bytes > limit || layer->weights_bytes > limit || layer->output_bytes > limit);
}

void cases_layer(layer_case *layer, int kind, int32_t limit)
{
    layer->kind = kind;
    if (kind == CASE_FULLY_CONNECTED) {
        const int32_t batches = chance(3) ? cases_between(1, 5) : 1;
        const int32_t inputs = chance(3) ? cases_between(1, 20) : cases_between(1, 300);
        layer->shape.output_channels = cases_between(1, 50);
        layer->input_bytes = batches * inputs;
        layer->weights_bytes = layer->shape.output_channels * inputs;
        layer->output_bytes = batches * layer->shape.output_channels;
        layer->dense =
            (kn_fully_connected_params){.batches = batches, .inputs = inputs, .outputs = layer->shape.output_channels};
    } else {
        draw_window(layer, limit);
    }
    draw_ending(layer);
    draw_scales(layer, layer->shape.output_channels);
    layer->dense.input_offset = layer->params.input_offset;
    layer->dense.weights_offset = layer->params.weights_offset;
    layer->dense.output_offset = layer->params.output_offset;
    layer->dense.activation_min = layer->params.activation_min;
    layer->dense.activation_max = layer->params.activation_max;
    layer->dense.rounding = layer->params.rounding;
}

void cases_fold(layer_case *layer, const int8_t *weights)
{
    const int32_t channels = layer->shape.output_channels, taps = layer->weights_bytes / channels;
    const int depthwise = layer->kind == CASE_DEPTHWISE;
    for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sum = 0;
        for (int32_t tap = 0; tap < taps; ++tap)
            sum += weights[depthwise ? tap * channels + channel : channel * taps + tap];
        layer->folded[channel] =
            (int32_t)((uint32_t)layer->bias[channel] + (uint32_t)layer->params.input_offset * (uint32_t)sum);
    }
}

/* A real number under 1/2, or 1/2. */
static void draw_factor(int32_t half, int32_t *multiplier, int32_t *shift)
{
    *multiplier = half ? 1 << 30 : cases_between(1 << 30, INT32_MAX);
    *shift = half ? 0 : chance(8) ? cases_between(-31, -1) : cases_between(-4, -1);
}

void cases_add(kn_add_params *params, kn_broadcast *broadcast)
{
    const int32_t larger = cases_between(0, 3); /* which input has the larger scale; 0: both have it */
    draw_factor(larger != 2, &params->input1_multiplier, &params->input1_shift);
    draw_factor(larger < 1 || larger == 2, &params->input2_multiplier, &params->input2_shift);
    params->output_multiplier = cases_between(1 << 30, INT32_MAX);
    params->output_shift = chance(8) ? cases_between(-31, 0) : cases_between(-20, -16);
    if (chance(12)) { /* what no converter writes, and a damaged plan may hold */
        params->input1_multiplier = cases_between(0, INT32_MAX);
        params->input1_shift = cases_between(-31, 30);
        params->output_shift = cases_between(-31, 30);
    }
    params->left_shift = 20;
    params->input1_offset = chance(4) ? (chance(2) ? 128 : -127) : cases_between(-127, 128);
    params->input2_offset = chance(4) ? (chance(2) ? 128 : -127) : cases_between(-127, 128);
    params->output_offset = cases_between(-128, 127);
    params->activation_min = chance(3) ? cases_between(-128, 0) : -128;
    params->activation_max = chance(3) ? cases_between(0, 127) : 127;
    params->rounding = chance(8) ? KN_ROUND_SINGLE : KN_ROUND_DOUBLE;
    const int32_t rows = cases_between(1, 4), length = cases_between(1, 40);
    *broadcast = (kn_broadcast){.rank = 1, .dims = {rows * length}, .strides1 = {1}, .strides2 = {1}};
    if (chance(3))
        *broadcast = (kn_broadcast){.rank = 2,
                                    .dims = {rows, length},
                                    .strides1 = {length, 1},
                                    .strides2 = {chance(2) ? 0 : 1, chance(2) ? 1 : 0}};
    if (broadcast->rank == 2 && broadcast->strides2[0] == 1)
        broadcast->strides2[0] = broadcast->strides2[1] ? length : 1;
}
