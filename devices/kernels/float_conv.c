/* CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of float32. */
#include "kernels.h"
#include "float_math.h"
#include "taps.h"

#if KN_FLOATS

/* Output channels that are computed side by side: each input is fetched once for all of them. */
enum { BLOCK = 4 };

/* The part of a filter that meets the input, as stretches of values side by side: `rows` times `runs` of them, each of
 * `length` >= 1 values. From one run, and from one row, to the next it is so many values in the input and in the
 * filter. */
typedef struct {
    int32_t rows, runs, length;
    int32_t input_run, weights_run;
    int32_t input_row, weights_row;
    int32_t input, weights; /* where the first one begins */
} stretches;

/* Adds the products of a row of stretches with a whole block of filters. Inlined, its pointers would not stay in
 * registers. */
static __attribute__((noinline)) void add_block(float *sums, const stretches *at, const float *input,
                                                const float *weights, int32_t filter_size)
{
    const int32_t length = at->length, input_gap = at->input_run - length, gap = at->weights_run - length;
    const float *w0 = weights, *w1 = w0 + filter_size, *w2 = w1 + filter_size, *w3 = w2 + filter_size;
    float s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    int32_t run = at->runs;
    do {
        const float *const end = input + length;
        do {
            const float value = *input++;
            s0 = KN_FMA(value, *w0++, s0);
            s1 = KN_FMA(value, *w1++, s1);
            s2 = KN_FMA(value, *w2++, s2);
            s3 = KN_FMA(value, *w3++, s3);
        } while (input != end);
        input += input_gap;
        w0 += gap;
        w1 += gap;
        w2 += gap;
        w3 += gap;
    } while (--run > 0);
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* The same with one filter. */
static float add_one(float sum, const stretches *at, const float *input, const float *weights)
{
    for (int32_t run = at->runs; run > 0; --run, input += at->input_run, weights += at->weights_run)
        for (int32_t i = 0; i < at->length; ++i)
            sum = KN_FMA(input[i], weights[i], sum);
    return sum;
}

/* The same with so many filters, at most a block, for all rows. */
static void add(float *sums, const stretches *at, const float *image, const float *filters, int32_t filter_size,
                int32_t channels)
{
    const float *input = image + at->input, *weights = filters + at->weights;
    for (int32_t row = at->rows; row > 0; --row, input += at->input_row, weights += at->weights_row) {
        if (channels == BLOCK)
            add_block(sums, at, input, weights, filter_size);
        else
            for (int32_t i = 0; i < channels; ++i)
                sums[i] = add_one(sums[i], at, input, weights + i * filter_size);
    }
}

/* Where a convolution is: what all of its pixels share, and the pixel. */
typedef struct {
    const kn_conv_params *params;
    const kn_conv_shape *shape;
    float low, high;
    kn_window taps;
    const float *image;
    int32_t output_y, output_x;
} place;

/* The taps of a pixel that meet the input. */
static stretches meeting(const place *at)
{
    const kn_conv_params *const p = at->params;
    const kn_conv_shape *const s = at->shape;
    const int32_t depth = s->filter_channels, inputs = s->input_channels;
    const int32_t columns = at->taps.last_x - at->taps.first_x;
    const int32_t y = at->taps.origin_y + at->taps.first_y * p->dilation_height;
    const int32_t x = at->taps.origin_x + at->taps.first_x * p->dilation_width;
    stretches found;
    found.rows = columns > 0 ? at->taps.last_y - at->taps.first_y : 0;
    found.runs = columns;
    found.length = depth;
    found.input_run = p->dilation_width * inputs;
    found.weights_run = depth;
    found.input_row = p->dilation_height * s->input_width * inputs;
    found.weights_row = s->filter_width * depth;
    found.input = (y * s->input_width + x) * inputs;
    found.weights = (at->taps.first_y * s->filter_width + at->taps.first_x) * depth;
    /* Without dilation and groups, the columns of one filter row lie side by side: rows are runs. */
    if (p->dilation_width == 1 && depth == inputs && found.rows > 0) {
        found.length *= columns;
        found.runs = found.rows;
        found.rows = 1;
        found.input_run = found.input_row;
        found.weights_run = found.weights_row;
    }
    return found;
}

/* TRANSPOSE_CONV: adds over the input pixels whose filter meets the output pixel. */
static void collect(float *sums, const place *at, const float *filters, int32_t filter_size, int32_t channels)
{
    const kn_conv_params *const p = at->params;
    const kn_conv_shape *const s = at->shape;
    stretches one = {1, 1, s->input_channels, 0, 0, 0, 0, 0, 0};
    for (int32_t tap_y = 0; tap_y < s->filter_height; ++tap_y) {
        const int32_t y = at->output_y + p->pad_top - tap_y;
        if (y < 0 || y % p->stride_height || y / p->stride_height >= s->input_height)
            continue;
        for (int32_t tap_x = 0; tap_x < s->filter_width; ++tap_x) {
            const int32_t x = at->output_x + p->pad_left - tap_x;
            if (x < 0 || x % p->stride_width || x / p->stride_width >= s->input_width)
                continue;
            one.input = (y / p->stride_height * s->input_width + x / p->stride_width) * s->input_channels;
            one.weights = (tap_y * s->filter_width + tap_x) * s->input_channels;
            add(sums, &one, at->image, filters, filter_size, channels);
        }
    }
}

enum layer { CONV, DEPTHWISE, TRANSPOSE };

/* All output channels of one pixel, group by group and block by block; returns where the next pixel goes. */
static float *channels_of(const place *at, enum layer kind, const float *weights, const float *bias, float *output)
{
    const kn_conv_shape *const s = at->shape;
    const int32_t per_group = s->output_channels / (s->input_channels / s->filter_channels);
    const int32_t filter_size = s->filter_height * s->filter_width * s->filter_channels;
    const stretches window = kind == TRANSPOSE ? (stretches){0} : meeting(at);
    const float *image = at->image;
    for (int32_t channel = 0, left = per_group; channel < s->output_channels;) {
        const int32_t channels = left < BLOCK ? left : BLOCK;
        float sums[BLOCK];
        for (int32_t i = 0; i < channels; ++i)
            sums[i] = bias ? bias[channel + i] : 0.0f;
        if (kind == CONV)
            add(sums, &window, image, weights, filter_size, channels);
        else
            collect(sums, at, weights, filter_size, channels);
        for (int32_t i = 0; i < channels; ++i)
            *output++ = kn_float_clamp(sums[i], at->low, at->high);
        weights += channels * filter_size;
        channel += channels;
        left -= channels;
        if (left == 0) {
            left = per_group;
            image += s->filter_channels;
        }
    }
    return output;
}

/* Adds the products of one tap of DEPTHWISE_CONV_2D: each of `inputs` >= 1 values meets `copies` weights. */
static __attribute__((noinline)) void add_tap(float *sums, const float *input, const float *weights, int32_t inputs,
                                              int32_t copies)
{
    const float *const end = input + inputs;
    do {
        const float value = *input++;
        int32_t left = copies;
        do {
            *sums = KN_FMA(value, *weights++, *sums);
            ++sums;
        } while (--left != 0);
    } while (input != end);
}

/* One pixel of DEPTHWISE_CONV_2D: the output's row of channels is where it adds up. */
static float *depthwise(const place *at, const float *weights, const float *bias, float *output)
{
    const kn_conv_params *const p = at->params;
    const kn_conv_shape *const s = at->shape;
    const int32_t channels = s->output_channels;
    for (int32_t i = 0; i < channels; ++i)
        output[i] = bias ? bias[i] : 0.0f;
    for (int32_t y = at->taps.first_y; y < at->taps.last_y; ++y) {
        const int32_t input_y = at->taps.origin_y + y * p->dilation_height;
        for (int32_t x = at->taps.first_x; x < at->taps.last_x; ++x) {
            const int32_t input_x = at->taps.origin_x + x * p->dilation_width;
            const float *input = at->image + (input_y * s->input_width + input_x) * s->input_channels;
            const float *weight = weights + (y * s->filter_width + x) * channels;
            add_tap(output, input, weight, s->input_channels, s->filter_channels);
        }
    }
    for (int32_t i = 0; i < channels; ++i)
        output[i] = kn_float_clamp(output[i], at->low, at->high);
    return output + channels;
}

/* Every pixel of every image. */
static void walk(const kn_conv_params *params, const kn_conv_shape *shape, enum layer kind, const float *input,
                 const float *weights, const float *bias, float *output)
{
    place at = {.params = params, .shape = shape, .image = input};
    at.low = kn_float_of(params->activation_min);
    at.high = kn_float_of(params->activation_max);
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (at.output_y = 0; at.output_y < shape->output_height; ++at.output_y) {
            if (kind != TRANSPOSE) { /* whose taps lie elsewhere */
                at.taps.origin_y = at.output_y * params->stride_height - params->pad_top;
                kn_clip_taps(at.taps.origin_y, shape->filter_height, params->dilation_height, shape->input_height,
                             &at.taps.first_y, &at.taps.last_y);
            }
            for (at.output_x = 0; at.output_x < shape->output_width; ++at.output_x) {
                if (kind != TRANSPOSE) {
                    at.taps.origin_x = at.output_x * params->stride_width - params->pad_left;
                    kn_clip_taps(at.taps.origin_x, shape->filter_width, params->dilation_width, shape->input_width,
                                 &at.taps.first_x, &at.taps.last_x);
                }
                output = kind == DEPTHWISE ? depthwise(&at, weights, bias, output)
                                           : channels_of(&at, kind, weights, bias, output);
            }
        }
        at.image += shape->input_height * shape->input_width * shape->input_channels;
    }
}

void kn_float_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                      const float *weights, const float *bias, float *output)
{
    walk(params, shape, CONV, input, weights, bias, output);
}

void kn_float_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                                const float *weights, const float *bias, float *output)
{
    walk(params, shape, DEPTHWISE, input, weights, bias, output);
}

void kn_float_transpose_conv(const kn_conv_params *params, const kn_conv_shape *shape, const float *input,
                             const float *weights, const float *bias, float *output)
{
    walk(params, shape, TRANSPOSE, input, weights, bias, output);
}

#endif
