/* CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, MAX_POOL_2D, AVERAGE_POOL_2D. */
#include <stddef.h>

#include "npu.h"

/* Kernels hold sizes of filters, strides, dilations and paddings in 15 bits. */
enum { SIZE_MAX_15 = 32767, PADDING_SAME = 1, PADDING_VALID = 2 };

static void run_conv(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_conv_2d(&op->u.conv.params, &op->u.conv.shape, &op->u.conv.scales, in[0]->now, in[1]->now,
               in[2] ? in[2]->now : NULL, out[0]->now);
}

static void run_depthwise(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_depthwise_conv_2d(&op->u.conv.params, &op->u.conv.shape, &op->u.conv.scales, in[0]->now, in[1]->now,
                         in[2] ? in[2]->now : NULL, out[0]->now);
}

static void run_dense(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_fully_connected(&op->u.dense.params, &op->u.dense.scales, in[0]->now, in[1]->now, in[2] ? in[2]->now : NULL,
                       out[0]->now);
}

static void run_max_pool(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_max_pool_2d(&op->u.pool, in[0]->now, out[0]->now);
}

static void run_average_pool(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_average_pool_2d(&op->u.pool, in[0]->now, out[0]->now);
}

/* Types of input, weights and bias: equal 8-bit types, constant weights, an int32 bias. */
static int check_weights(npu_job *job, int32_t channels)
{
    const TflTensor *input = npu_input(job, 0), *weights = npu_input(job, 1), *bias = npu_input(job, 2);
    if (!input || !weights)
        return npu_refuse(job, "it has no weights");
    if (input->type != weights->type)
        return npu_refuse(job, "hybrid: input is %s, weights are %s", npu_type_name(input->type),
                          npu_type_name(weights->type));
    if (!npu_check_activations(job))
        return 0;
    if (!npu_is_constant(weights) || weights->bytes != (size_t)npu_count(weights) || weights->sparsity)
        return npu_refuse(job, "weights are not constant and dense");
    if (bias && (bias->type != TFL_INT32 || !npu_constant_ints(bias, channels)))
        return npu_refuse(job, "bias is not a constant of int32");
    return 1;
}

/* Multipliers of the output channels. `in_float`: the product of scales in float32, as docs/internals/kernels.md says.
 */
static int make_scales(npu_job *job, int32_t channels, int axis, int in_float, kn_channel_scales *scales)
{
    const TflTensor *input = npu_input(job, 0), *weights = npu_input(job, 1), *output = npu_output(job, 0);
    const TflAffine *affine = weights->quantization == TFL_AFFINE ? weights->quantization_params : NULL;
    if (!affine || !affine->scale || affine->scale->size < 1)
        return npu_refuse(job, "weights are not quantized");
    const int32_t count = affine->scale->size;
    if (count != 1 && (count != channels || affine->quantized_dimension != axis))
        return npu_refuse(job, "weights have %d scales along dimension %d", (int)count,
                          (int)affine->quantized_dimension);
    if (count > 1 && weights->type == TFL_UINT8)
        return npu_refuse(job, "uint8 weights are quantized per channel");
    for (int32_t i = 0; affine->zero_point && weights->type == TFL_INT8 && i < affine->zero_point->size; ++i) {
        if (affine->zero_point->data[i] != 0 && (!in_float || count > 1))
            return npu_refuse(job, "weights have a zero point that is not 0");
    }
    int32_t *multipliers = npu_alloc(job->pool, (size_t)count * 2 * sizeof(int32_t));
    if (!multipliers)
        return npu_refuse(job, "no memory");
    const int ok = in_float && count == 1 ? kn_prepare_tensor_scale(input->scale, affine->scale->data[0], output->scale,
                                                                    multipliers, multipliers + 1)
                                          : kn_prepare_channel_scales(input->scale, count, affine->scale->data,
                                                                      output->scale, multipliers, multipliers + count);
    scales->multipliers = multipliers;
    scales->shifts = multipliers + count;
    scales->per_channel = count > 1;
    return ok || npu_refuse(job, "its scales fit no multiplier");
}

static int make_range(npu_job *job, int32_t activation, int32_t *low, int32_t *high)
{
    const TflTensor *output = npu_output(job, 0);
    return kn_prepare_activation_range(activation, output->scale, npu_zero_point(output), low, high) ||
           npu_refuse(job, "its fused activation %d does not run here", (int)activation);
}

/* The offsets and ranges of a convolution; int8 weights have zero point 0, uint8 weights their own. */
static int32_t weights_offset(const TflTensor *weights)
{
    const TflAffine *affine = weights->quantization_params;
    const int32_t zero_point =
        affine && affine->zero_point && affine->zero_point->size ? affine->zero_point->data[0] : 0;
    return weights->type == TFL_UINT8 ? 128 - zero_point : -zero_point;
}

static int is_size(int value)
{
    return value >= 1 && value <= SIZE_MAX_15;
}

typedef struct {
    int padding, stride_height, stride_width, dilation_height, dilation_width, filter_height, filter_width;
} window;

/* Output size and leading padding; refuses a shape that does not follow from input and options. */
static int place_window(npu_job *job, const window *w, int32_t *height, int32_t *width, int32_t *top, int32_t *left)
{
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    if (input->dims->size != 4 || output->dims->size != 4)
        return npu_refuse(job, "input and output do not have 4 dimensions");
    if (w->padding != PADDING_SAME && w->padding != PADDING_VALID)
        return npu_refuse(job, "its padding is neither SAME nor VALID");
    if (!is_size(w->stride_height) || !is_size(w->stride_width) || !is_size(w->dilation_height) ||
        !is_size(w->dilation_width) || !is_size(w->filter_height) || !is_size(w->filter_width) ||
        !is_size((w->filter_height - 1) * w->dilation_height + 1) ||
        !is_size((w->filter_width - 1) * w->dilation_width + 1))
        return npu_refuse(job, "its filter, stride or dilation is out of range");
    const int same = w->padding == PADDING_SAME;
    const int fits = kn_prepare_padding(same, input->dims->data[1], w->filter_height, w->stride_height,
                                        w->dilation_height, height, top) &&
                     kn_prepare_padding(same, input->dims->data[2], w->filter_width, w->stride_width, w->dilation_width,
                                        width, left);
    if (!fits || output->dims->data[0] != input->dims->data[0] || output->dims->data[1] != *height ||
        output->dims->data[2] != *width)
        return npu_refuse(job, "its output shape does not follow from its input");
    return 1;
}

static int compile_window(npu_job *job, const window *w, int32_t activation, int depthwise)
{
    const TflTensor *input = npu_input(job, 0), *weights = npu_input(job, 1), *output = npu_output(job, 0);
    kn_conv_params *params = &job->op->u.conv.params;
    kn_conv_shape *shape = &job->op->u.conv.shape;
    if (!place_window(job, w, &shape->output_height, &shape->output_width, &params->pad_top, &params->pad_left))
        return 0;
    const int32_t channels = output->dims->data[3], inputs = input->dims->data[3], depth = weights->dims->data[3];
    const int matched =
        depthwise ? weights->dims->data[0] == 1 && depth == channels && channels % inputs == 0
                  : weights->dims->data[0] == channels && inputs % depth == 0 && channels % (inputs / depth) == 0;
    if (!matched)
        return npu_refuse(job, "its weights do not fit input and output");
    if (!depthwise && depth != inputs && input->dims->data[0] != 1)
        return npu_refuse(job, "grouped convolution of a batch");
    shape->batches = input->dims->data[0];
    shape->input_height = input->dims->data[1];
    shape->input_width = input->dims->data[2];
    shape->input_channels = inputs;
    shape->filter_height = w->filter_height;
    shape->filter_width = w->filter_width;
    shape->filter_channels = depthwise ? channels / inputs : depth;
    shape->output_channels = channels;
    params->stride_height = w->stride_height;
    params->stride_width = w->stride_width;
    params->dilation_height = w->dilation_height;
    params->dilation_width = w->dilation_width;
    params->input_offset = -npu_zero_point(input);
    params->weights_offset = weights_offset(weights);
    params->output_offset = npu_zero_point(output);
    params->rounding = job->rounding;
    job->op->run = depthwise ? run_depthwise : run_conv;
    job->op->hashed_bytes = (int32_t)offsetof(npu_op, u.conv.scales) - (int32_t)offsetof(npu_op, u);
    return make_range(job, activation, &params->activation_min, &params->activation_max) &&
           make_scales(job, channels, depthwise ? 3 : 0, weights->type == TFL_UINT8, &job->op->u.conv.scales);
}

static int check_filter(npu_job *job)
{
    const TflTensor *weights = npu_input(job, 1), *output = npu_output(job, 0);
    if (weights && weights->dims->size == 4 && output->dims->size == 4)
        return check_weights(job, output->dims->data[3]);
    return npu_refuse(job, "its weights or output do not have 4 dimensions");
}

int npu_compile_conv(npu_job *job)
{
    const TflConvOptions *o = job->node->builtin_data;
    if (!check_filter(job))
        return 0;
    const int *filter = npu_input(job, 1)->dims->data;
    const window w = {o->padding,        o->stride_height, o->stride_width, o->dilation_height,
                      o->dilation_width, filter[1],        filter[2]};
    return compile_window(job, &w, o->activation, 0);
}

int npu_compile_depthwise(npu_job *job)
{
    const TflDepthwiseOptions *o = job->node->builtin_data;
    if (!check_filter(job))
        return 0;
    const int *filter = npu_input(job, 1)->dims->data;
    const window w = {o->padding,        o->stride_height, o->stride_width, o->dilation_height,
                      o->dilation_width, filter[1],        filter[2]};
    return compile_window(job, &w, o->activation, 1);
}

int npu_compile_fully_connected(npu_job *job)
{
    const TflFullyConnectedOptions *o = job->node->builtin_data;
    const TflTensor *input = npu_input(job, 0), *weights = npu_input(job, 1), *output = npu_output(job, 0);
    kn_fully_connected_params *params = &job->op->u.dense.params;
    if (!weights || weights->dims->size != 2)
        return npu_refuse(job, "its weights do not have 2 dimensions");
    const int32_t outputs = weights->dims->data[0], inputs = weights->dims->data[1];
    if (!check_weights(job, outputs))
        return 0;
    if (o->weights_format != 0)
        return npu_refuse(job, "its weights are shuffled");
    if (npu_count(input) % inputs != 0 || (int64_t)(npu_count(input) / inputs) * outputs != npu_count(output))
        return npu_refuse(job, "its weights do not fit input and output");
    params->batches = npu_count(input) / inputs;
    params->inputs = inputs;
    params->outputs = outputs;
    params->input_offset = -npu_zero_point(input);
    params->weights_offset = weights_offset(weights);
    params->output_offset = npu_zero_point(output);
    params->rounding = job->rounding;
    job->op->run = run_dense;
    job->op->hashed_bytes = (int32_t)offsetof(npu_op, u.dense.scales) - (int32_t)offsetof(npu_op, u);
    return make_range(job, o->activation, &params->activation_min, &params->activation_max) &&
           make_scales(job, outputs, 0, 1, &job->op->u.dense.scales);
}

static int compile_pool(npu_job *job, npu_run run)
{
    const TflPoolOptions *o = job->node->builtin_data;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    kn_pool_params *params = &job->op->u.pool;
    const window w = {o->padding, o->stride_height, o->stride_width, 1, 1, o->filter_height, o->filter_width};
    if (!npu_check_activations(job) ||
        !place_window(job, &w, &params->output_height, &params->output_width, &params->pad_top, &params->pad_left))
        return 0;
    if (!npu_same_scale(input, output) || input->dims->data[3] != output->dims->data[3])
        return npu_refuse(job, "input and output differ in scale or channels");
    params->batches = input->dims->data[0];
    params->channels = input->dims->data[3];
    params->input_height = input->dims->data[1];
    params->input_width = input->dims->data[2];
    params->filter_height = w.filter_height;
    params->filter_width = w.filter_width;
    params->stride_height = w.stride_height;
    params->stride_width = w.stride_width;
    params->is_uint8 = input->type == TFL_UINT8;
    job->op->run = run;
    return make_range(job, o->activation, &params->activation_min, &params->activation_max);
}

int npu_compile_max_pool(npu_job *job)
{
    return compile_pool(job, run_max_pool);
}

int npu_compile_average_pool(npu_job *job)
{
    return compile_pool(job, run_average_pool);
}
