/* Ops that only move values: CONCATENATION, PAD, RESHAPE and its kin, TRANSPOSE, STRIDED_SLICE, SLICE, SPLIT. */
#include <stddef.h>

#include "npu.h"

static void run_concatenation(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    for (int32_t i = 0; i < op->u.concatenation.inputs; ++i)
        op->u.concatenation.data[i] = in[i]->now;
    kn_concatenation(op->u.concatenation.outer, op->u.concatenation.inputs, op->u.concatenation.sizes,
                     op->u.concatenation.data, op->u.concatenation.tables, out[0]->now);
}

static void run_pad(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_pad(&op->u.pad, in[0]->now, out[0]->now);
}

static void run_reshape(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    kn_reshape(op->u.count, in[0]->now, out[0]->now);
}

static void run_view(const npu_op *op, npu_value *const *in, npu_value *const *out)
{
    /* SPLIT has its axis as input 0 and the data as input 1. */
    const void *input = op->code == 49 ? in[1]->now : in[0]->now;
    for (int32_t i = 0; i < op->u.view.outputs; ++i)
        kn_gather(&op->u.view.views[i], input, out[i]->now);
}

int npu_compile_concatenation(npu_job *job)
{
    const TflConcatenationOptions *o = job->node->builtin_data;
    if (!npu_check_activations(job))
        return 0;
    const TflTensor *output = npu_output(job, 0);
    const int32_t inputs = job->node->inputs->size, rank = output->dims->size;
    const int32_t axis = o->axis < 0 ? o->axis + rank : o->axis;
    if (o->activation != KN_ACT_NONE || axis < 0 || axis >= rank)
        return npu_refuse(job, "its axis or fused activation does not run here");
    int32_t outer = 1, along = 0, different = 0;
    for (int32_t d = 0; d < axis; ++d)
        outer *= output->dims->data[d];
    int32_t *sizes = npu_alloc(job->pool, (size_t)inputs * sizeof *sizes);
    const int8_t **data = npu_alloc(job->pool, (size_t)inputs * 2 * sizeof *data);
    if (!sizes || !data)
        return npu_refuse(job, "no memory");
    for (int32_t i = 0; i < inputs; ++i) {
        const TflTensor *input = npu_input(job, i);
        if (!input || input->type != output->type || input->dims->size != rank || !(input->scale > 0.0f))
            return npu_refuse(job, "its inputs differ in type or rank");
        for (int32_t d = 0; d < rank; ++d) {
            if (d != axis && input->dims->data[d] != output->dims->data[d])
                return npu_refuse(job, "its shapes do not fit together");
        }
        along += input->dims->data[axis];
        sizes[i] = npu_count(input) / outer;
        if (npu_same_scale(input, output))
            continue;
        if (input->type == TFL_INT8)
            return npu_refuse(job, "int8 inputs and output differ in scale");
        int8_t *table = npu_alloc(job->pool, 256);
        if (!table)
            return npu_refuse(job, "no memory");
        kn_prepare_concatenation_table(input->scale, npu_zero_point(input), output->scale, npu_zero_point(output),
                                       table);
        data[inputs + i] = table;
        different = 1;
    }
    job->op->u.concatenation.outer = outer;
    job->op->u.concatenation.inputs = inputs;
    job->op->u.concatenation.sizes = sizes;
    job->op->u.concatenation.data = data;
    job->op->u.concatenation.tables = different ? data + inputs : NULL;
    job->op->run = run_concatenation;
    job->op->hashed_bytes = (int32_t)offsetof(npu_op, u.concatenation.sizes) - (int32_t)offsetof(npu_op, u);
    return along == output->dims->data[axis] || npu_refuse(job, "its shapes do not fit together");
}

int npu_compile_pad(npu_job *job)
{
    kn_pad_params *params = &job->op->u.pad;
    if (!npu_check_activations(job))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    const int32_t rank = input->dims->size;
    const int32_t *paddings = npu_constant_ints(npu_input(job, 1), rank * 2);
    if (!paddings || rank < 1 || output->dims->size != rank)
        return npu_refuse(job, "its paddings are not a constant of int32");
    if (!npu_same_scale(input, output))
        return npu_refuse(job, "input and output differ in scale");
    params->rank = rank;
    params->value = npu_zero_point(output);
    for (int32_t d = 0; d < rank; ++d) {
        params->input_dims[d] = input->dims->data[d];
        params->before[d] = paddings[2 * d];
        params->after[d] = paddings[2 * d + 1];
        if (params->before[d] < 0 || params->after[d] < 0 ||
            (int64_t)params->input_dims[d] + params->before[d] + params->after[d] != output->dims->data[d])
            return npu_refuse(job, "its output shape does not follow from its paddings");
    }
    job->op->run = run_pad;
    return 1;
}

int npu_compile_reshape(npu_job *job)
{
    const TflTensor *shape = npu_input(job, 1);
    if (!npu_check_activations(job))
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    if (shape && !npu_is_constant(shape))
        return npu_refuse(job, "its new shape or axis is not constant");
    if (npu_count(input) != npu_count(output))
        return npu_refuse(job, "input and output differ in size");
    job->op->u.count = npu_count(input);
    job->op->run = run_reshape;
    return 1;
}

/* Row-major strides of a tensor's dimensions, in elements. */
static void fill_strides(const TflTensor *tensor, int32_t strides[KN_MAX_RANK])
{
    int32_t step = 1;
    for (int32_t d = tensor->dims->size - 1; d >= 0; --d) {
        strides[d] = step;
        step *= tensor->dims->data[d];
    }
}

static kn_view *make_views(npu_job *job, int32_t count)
{
    kn_view *views = npu_alloc(job->pool, (size_t)count * sizeof *views);
    if (!views)
        npu_refuse(job, "no memory");
    job->op->u.view.outputs = count;
    job->op->u.view.views = views;
    job->op->run = run_view;
    job->op->hashed_bytes = 0; /* the bounds are constants, which are hashed as such */
    return views;
}

/* One output that shows the input's values: same type and scale, 1 to KN_MAX_RANK dimensions. */
static kn_view *check_view(npu_job *job)
{
    if (!npu_check_activations(job))
        return NULL;
    const TflTensor *input = npu_input(job, 0);
    if (input->dims->size < 1 || !npu_same_scale(input, npu_output(job, 0))) {
        npu_refuse(job, "input and output differ in scale, or it is a scalar");
        return NULL;
    }
    return make_views(job, 1);
}

int npu_compile_transpose(npu_job *job)
{
    kn_view *view = check_view(job);
    if (!view)
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    int32_t strides[KN_MAX_RANK], seen = 0;
    const int32_t rank = input->dims->size;
    const int32_t *order = npu_constant_ints(npu_input(job, 1), rank);
    if (!order || output->dims->size != rank)
        return npu_refuse(job, "its permutation is not a constant of int32");
    fill_strides(input, strides);
    view->rank = rank;
    for (int32_t d = 0; d < rank; ++d) {
        const int32_t axis = order[d] < 0 ? order[d] + rank : order[d];
        if (axis < 0 || axis >= rank || (seen & 1 << axis) || output->dims->data[d] != input->dims->data[axis])
            return npu_refuse(job, "its permutation does not fit the shapes");
        seen |= 1 << axis;
        view->dims[d] = output->dims->data[d];
        view->strides[d] = strides[axis];
    }
    return 1;
}

/* One dimension of STRIDED_SLICE: first element and number of elements, NumPy's rule. */
static int32_t slice_length(int32_t size, int32_t step, int32_t *begin, int32_t end, int no_begin, int no_end)
{
    const int32_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    *begin = no_begin ? (step > 0 ? 0 : size - 1) : kn_clamp(*begin < 0 ? *begin + size : *begin, low, high);
    end = no_end ? (step > 0 ? size : -1) : kn_clamp(end < 0 ? end + size : end, low, high);
    const int64_t span = step > 0 ? (int64_t)end - *begin : (int64_t)*begin - end,
                  stride = step > 0 ? step : -(int64_t)step;
    return span <= 0 ? 0 : (int32_t)((span + stride - 1) / stride);
}

int npu_compile_strided_slice(npu_job *job)
{
    const TflStridedSliceOptions *o = job->node->builtin_data;
    kn_view *view = check_view(job);
    if (!view)
        return 0;
    const TflTensor *input = npu_input(job, 0);
    const int32_t rank = input->dims->size;
    const int32_t *begins = npu_constant_ints(npu_input(job, 1), rank),
                  *ends = npu_constant_ints(npu_input(job, 2), rank),
                  *steps = npu_constant_ints(npu_input(job, 3), rank);
    int32_t strides[KN_MAX_RANK];
    int64_t elements = 1;
    if (!begins || !ends || !steps)
        return npu_refuse(job, "its bounds are not constants of int32 for every dimension");
    if (o->ellipsis_mask || o->new_axis_mask || o->offset)
        return npu_refuse(job, "ellipsis, new-axis or offset bounds");
    fill_strides(input, strides);
    view->rank = rank;
    for (int32_t d = 0; d < rank; ++d) {
        const int shrink = o->shrink_axis_mask >> d & 1, size = input->dims->data[d];
        int32_t begin = begins[d];
        if (steps[d] == 0)
            return npu_refuse(job, "a step of 0");
        const int32_t step = shrink ? 1 : steps[d];
        const int32_t length = slice_length(size, step, &begin, ends[d], o->begin_mask >> d & 1, o->end_mask >> d & 1);
        if (begin < 0 || begin >= size || (!shrink && length < 1))
            return npu_refuse(job, "it takes nothing");
        view->dims[d] = shrink ? 1 : length;
        view->strides[d] = length > 1 && !shrink ? strides[d] * step : 0;
        view->start += begin * strides[d];
        elements *= view->dims[d];
    }
    return elements == npu_count(npu_output(job, 0)) ||
           npu_refuse(job, "its output shape does not follow from its bounds");
}

int npu_compile_slice(npu_job *job)
{
    kn_view *view = check_view(job);
    if (!view)
        return 0;
    const TflTensor *input = npu_input(job, 0), *output = npu_output(job, 0);
    const int32_t rank = input->dims->size;
    const int32_t *begins = npu_constant_ints(npu_input(job, 1), rank),
                  *sizes = npu_constant_ints(npu_input(job, 2), rank);
    int32_t strides[KN_MAX_RANK];
    if (!begins || !sizes || output->dims->size != rank)
        return npu_refuse(job, "its bounds are not constants of int32");
    if (rank > 3 && input->dims->data[0] != output->dims->data[0])
        return npu_refuse(job, "it cuts the batch");
    fill_strides(input, strides);
    view->rank = rank;
    for (int32_t d = 0; d < rank; ++d) {
        const int64_t size = sizes[d] < 0 ? (int64_t)input->dims->data[d] - begins[d] : sizes[d];
        if (begins[d] < 0 || size < 1 || begins[d] + size > input->dims->data[d] || output->dims->data[d] != size)
            return npu_refuse(job, "its bounds do not fit the shapes");
        view->dims[d] = (int32_t)size;
        view->strides[d] = strides[d];
        view->start += begins[d] * strides[d];
    }
    return 1;
}

int npu_compile_split(npu_job *job)
{
    const TflTensor *input = npu_input(job, 1);
    const int32_t *axis_data = npu_constant_ints(npu_input(job, 0), 1);
    const int32_t outputs = job->node->outputs->size;
    int32_t strides[KN_MAX_RANK];
    if (!axis_data || !input || input->dims->size < 1 || outputs < 1)
        return npu_refuse(job, "its axis is not a constant of int32");
    if (!npu_is_8bit(input))
        return npu_refuse(job, "input is %s: only int8 and uint8 run here", npu_type_name(input->type));
    const int32_t rank = input->dims->size, axis = *axis_data < 0 ? *axis_data + rank : *axis_data;
    if (axis < 0 || axis >= rank || input->dims->data[axis] % outputs != 0)
        return npu_refuse(job, "its axis does not fit the shape");
    kn_view *views = make_views(job, outputs);
    if (!views)
        return 0;
    fill_strides(input, strides);
    for (int32_t i = 0; i < outputs; ++i) {
        const TflTensor *output = npu_output(job, i);
        const int32_t part = input->dims->data[axis] / outputs;
        if (output->type != input->type || !npu_same_scale(input, output) || !(input->scale > 0.0f) ||
            npu_count(output) != npu_count(input) / outputs)
            return npu_refuse(job, "input and outputs differ in type, scale or size");
        views[i].rank = rank;
        views[i].start = i * part * strides[axis];
        for (int32_t d = 0; d < rank; ++d) {
            views[i].dims[d] = d == axis ? part : input->dims->data[d];
            views[i].strides[d] = strides[d];
        }
    }
    return 1;
}
