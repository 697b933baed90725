/* Two inputs (ADD, SUB, MUL, MAXIMUM, MINIMUM), one input element by element, SOFTMAX, MEAN, QUANTIZE, DEQUANTIZE. */
#include "npu.h"

static void run_add(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_add(&op->u.add.params, &op->u.add.broadcast, in[0]->now, in[1]->now, out[0]->now);
}

static void run_sub(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_sub(&op->u.add.params, &op->u.add.broadcast, in[0]->now, in[1]->now, out[0]->now);
}

static void run_mul(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_mul(&op->u.mul.params, &op->u.mul.broadcast, in[0]->now, in[1]->now, out[0]->now);
}

static void run_maximum(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_maximum(&op->u.pair, in[0]->now, in[1]->now, out[0]->now);
}

static void run_minimum(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_minimum(&op->u.pair, in[0]->now, in[1]->now, out[0]->now);
}

static void run_rescale(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_rescale(&op->u.rescale, in[0]->count, in[0]->now, out[0]->now);
}

static void run_leaky_relu(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_leaky_relu(&op->u.leaky_relu, in[0]->count, in[0]->now, out[0]->now);
}

static void run_hard_swish(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_hard_swish(&op->u.hard_swish, in[0]->count, in[0]->now, out[0]->now);
}

static void run_lookup(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_lookup(op->u.table, in[0]->count, in[0]->now, out[0]->now);
}

static void run_softmax(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_softmax(&op->u.softmax, in[0]->now, out[0]->now);
}

static void run_mean(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_mean(&op->u.mean, in[0]->now, out[0]->now);
}

static void run_quantize(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_quantize(op->u.real.scale, op->u.real.zero_point, in[0]->count, in[0]->now, out[0]->now);
}

static void run_dequantize(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_dequantize(op->u.real.scale, op->u.real.zero_point, in[0]->count, in[0]->now, out[0]->now);
}

/* Two inputs of one 8-bit type whose shapes make that of the output. */
static int check_pair(npu_job *job, npu_run run, kn_broadcast *broadcast)
{
    const TflTensor *first = npu_input(job, 0), *second = npu_input(job, 1), *output = npu_output(job, 0);
    if (!npu_check_activations(job))
        return 0;
    if (!second || second->type != first->type || !(second->scale > 0.0f))
        return npu_refuse(job, "its inputs are %s and %s", npu_type_name(first->type),
                          second ? npu_type_name(second->type) : "absent");
    job->op->run = run;
    return kn_broadcast_make(broadcast, first->dims->size, first->dims->data, second->dims->size, second->dims->data) ==
               npu_count(output) ||
           npu_refuse(job, "its shapes do not fit together");
}

static int compile_sum(npu_job *job, npu_run run)
{
    const TflActivationOptions *o = job->node->builtin_data;
    if (!check_pair(job, run, &job->op->u.add.broadcast))
        return 0;
    const TflTensor *first = npu_input(job, 0), *second = npu_input(job, 1), *output = npu_output(job, 0);
    job->op->u.add.params.rounding = job->rounding;
    return kn_prepare_add(first->scale, npu_zero_point(first), second->scale, npu_zero_point(second), output->scale,
                          npu_zero_point(output), o->activation, &job->op->u.add.params) ||
           npu_refuse(job, "its scales fit no multiplier, or its fused activation does not run here");
}

int npu_compile_add(npu_job *job)
{
    return compile_sum(job, run_add);
}

int npu_compile_sub(npu_job *job)
{
    return compile_sum(job, run_sub);
}

int npu_compile_mul(npu_job *job)
{
    const TflActivationOptions *o = job->node->builtin_data;
    if (!check_pair(job, run_mul, &job->op->u.mul.broadcast))
        return 0;
    const TflTensor *first = npu_input(job, 0), *second = npu_input(job, 1), *output = npu_output(job, 0);
    job->op->u.mul.params.rounding = job->rounding;
    return kn_prepare_mul(first->scale, npu_zero_point(first), second->scale, npu_zero_point(second), output->scale,
                          npu_zero_point(output), o->activation, &job->op->u.mul.params) ||
           npu_refuse(job, "its scales fit no multiplier, or its fused activation does not run here");
}

static int compile_choice(npu_job *job, npu_run run)
{
    if (!check_pair(job, run, &job->op->u.pair))
        return 0;
    const TflTensor *output = npu_output(job, 0);
    return (npu_same_scale(npu_input(job, 0), output) && npu_same_scale(npu_input(job, 1), output)) ||
           npu_refuse(job, "inputs and output differ in scale");
}

int npu_compile_maximum(npu_job *job)
{
    return compile_choice(job, run_maximum);
}

int npu_compile_minimum(npu_job *job)
{
    return compile_choice(job, run_minimum);
}

/* One 8-bit input and one output of the same type and number of elements. */
static int check_elementwise(npu_job *job, npu_run run)
{
    if (!npu_check_activations(job))
        return 0;
    job->op->run = run;
    return npu_count(npu_input(job, 0)) == npu_count(npu_output(job, 0)) ||
           npu_refuse(job, "input and output differ in size");
}

static int make_rescale(npu_job *job, int32_t activation)
{
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    job->op->u.rescale.rounding = job->rounding;
    return kn_prepare_rescale(input->scale, npu_zero_point(input), output->scale, npu_zero_point(output), activation,
                              &job->op->u.rescale) ||
           npu_refuse(job, "its scales fit no multiplier");
}

int npu_compile_relu(npu_job *job)
{
    return check_elementwise(job, run_rescale) && make_rescale(job, KN_ACT_RELU);
}

int npu_compile_relu6(npu_job *job)
{
    return check_elementwise(job, run_rescale) && make_rescale(job, KN_ACT_RELU6);
}

int npu_compile_relu_n1_to_1(npu_job *job)
{
    return check_elementwise(job, run_rescale) && make_rescale(job, KN_ACT_RELU_N1_TO_1);
}

int npu_compile_leaky_relu(npu_job *job)
{
    const TflFloatOptions *alpha = job->node->builtin_data;
    if (!check_elementwise(job, run_leaky_relu))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    return kn_prepare_leaky_relu(input->scale, npu_zero_point(input), alpha->value, output->scale,
                                 npu_zero_point(output), &job->op->u.leaky_relu) ||
           npu_refuse(job, "its scales fit no multiplier");
}

int npu_compile_hard_swish(npu_job *job)
{
    if (!check_elementwise(job, run_hard_swish))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    return kn_prepare_hard_swish(input->scale, npu_zero_point(input), output->scale, npu_zero_point(output),
                                 &job->op->u.hard_swish) ||
           npu_refuse(job, "its scales fit no multiplier");
}

int npu_compile_logistic(npu_job *job)
{
    if (!check_elementwise(job, run_lookup))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    kn_prepare_logistic_table(input->scale, npu_zero_point(input), output->scale, npu_zero_point(output),
                              job->op->u.table);
    return 1;
}

int npu_compile_tanh(npu_job *job)
{
    if (!check_elementwise(job, run_lookup))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    kn_prepare_tanh_table(input->scale, npu_zero_point(input), output->scale, npu_zero_point(output), job->op->u.table);
    return 1;
}

int npu_compile_softmax(npu_job *job)
{
    const TflFloatOptions *beta = job->node->builtin_data;
    if (!check_elementwise(job, run_softmax))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    const int32_t depth = input->dims->size ? input->dims->data[input->dims->size - 1] : 1;
    if (output->scale != 1.0f / 256.0f || npu_zero_point(output) != -128)
        return npu_refuse(job, "its output does not have the scale 1/256");
    if (depth > 4095)
        return npu_refuse(job, "it has %d classes, 4095 at most run here", (int)depth);
    job->op->u.softmax.rows = npu_count(input) / depth;
    job->op->u.softmax.depth = depth;
    return kn_prepare_softmax(input->scale, beta->value, &job->op->u.softmax) ||
           npu_refuse(job, "beta and input scale fit no multiplier");
}

int npu_compile_mean(npu_job *job)
{
    kn_mean_params *params = &job->op->u.mean;
    const TflTensor *axes = npu_input(job, 1);
    if (!npu_check_activations(job))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    const int32_t rank = input->dims->size, count = axes ? npu_count(axes) : 0;
    const int32_t *reduced = npu_constant_ints(axes, count);
    int64_t elements = 1;
    if (!reduced || rank < 1)
        return npu_refuse(job, "its axes are not a constant of int32");
    params->rank = rank;
    for (int32_t d = 0; d < rank; ++d)
        params->dims[d] = input->dims->data[d];
    for (int32_t i = 0; i < count; ++i) {
        const int32_t axis = reduced[i] < 0 ? reduced[i] + rank : reduced[i];
        if (axis < 0 || axis >= rank)
            return npu_refuse(job, "its axis %d does not exist", (int)reduced[i]);
        if (!params->reduced[axis])
            elements *= params->dims[axis];
        params->reduced[axis] = 1;
    }
    if (npu_count(input) != elements * npu_count(output))
        return npu_refuse(job, "its output shape does not follow from its input");
    params->input_zero_point = npu_zero_point(input);
    params->output_zero_point = npu_zero_point(output);
    params->rounding = job->rounding;
    job->op->run = run_mean;
    return kn_prepare_mean(input->scale, output->scale, elements, &params->multiplier, &params->shift) ||
           npu_refuse(job, "its scales fit no multiplier");
}

/* One per-tensor scale: what devices of this kind convert between float and integer. */
static int check_scale(npu_job *job, const TflTensor *tensor)
{
    const TflAffine *affine = tensor->quantization == TFL_AFFINE ? tensor->quantization_params : NULL;
    if (!affine || !affine->scale || affine->scale->size != 1 || !(tensor->scale > 0.0f))
        return npu_refuse(job, "its integers are not quantized per tensor");
    job->op->u.real.scale = tensor->scale;
    job->op->u.real.zero_point = npu_zero_point(tensor);
    return 1;
}

int npu_compile_quantize(npu_job *job)
{
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    if (!input || !npu_is_8bit(output) || (input->type != TFL_FLOAT32 && !npu_is_8bit(input)))
        return npu_refuse(job, "it converts %s to %s", input ? npu_type_name(input->type) : "nothing",
                          npu_type_name(output->type));
    if (npu_count(input) != npu_count(output))
        return npu_refuse(job, "input and output differ in size");
    job->op->run = npu_is_8bit(input) ? run_rescale : run_quantize;
    if (!npu_is_8bit(input))
        return check_scale(job, output);
    return check_scale(job, input) && check_scale(job, output) && make_rescale(job, KN_ACT_NONE);
}

int npu_compile_dequantize(npu_job *job)
{
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    if (!input || !npu_is_8bit(input) || output->type != TFL_FLOAT32)
        return npu_refuse(job, "it converts %s to %s", input ? npu_type_name(input->type) : "nothing",
                          npu_type_name(output->type));
    job->op->run = run_dequantize;
    if (npu_count(input) != npu_count(output))
        return npu_refuse(job, "input and output differ in size");
    return check_scale(job, input);
}
