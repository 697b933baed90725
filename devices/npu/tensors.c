/* Questions about the tensors of a node. */
#include "npu.h"

static const TflTensor *at(const npu_job *job, const TflInts *list, int i)
{
    if (i >= list->size || list->data[i] < 0 || (size_t)list->data[i] >= job->context->tensors_size)
        return NULL;
    return &job->context->tensors[list->data[i]];
}

const TflTensor *npu_input(const npu_job *job, int i)
{
    return at(job, job->node->inputs, i);
}

const TflTensor *npu_output(const npu_job *job, int i)
{
    return at(job, job->node->outputs, i);
}

int npu_is_8bit(const TflTensor *tensor)
{
    return tensor->type == TFL_INT8 || tensor->type == TFL_UINT8;
}

int npu_is_constant(const TflTensor *tensor)
{
    return tensor->allocation == TFL_CONSTANT && tensor->data;
}

const char *npu_type_name(int type)
{
    static const char *const names[] = {"none",     "float32",   "int32",  "uint8",   "int64",   "string",     "bool",
                                        "int16",    "complex64", "int8",   "float16", "float64", "complex128", "uint64",
                                        "resource", "variant",   "uint32", "uint16",  "int4",    "bfloat16"};
    return type >= 0 && (size_t)type < sizeof names / sizeof names[0] ? names[type] : "an unknown type";
}

int32_t npu_count(const TflTensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->dims->size; ++i) {
        if (tensor->dims->data[i] < 1)
            return 0;
        count *= tensor->dims->data[i];
        if (count > INT32_MAX)
            return 0;
    }
    return (int32_t)count;
}

int32_t npu_zero_point(const TflTensor *tensor)
{
    return tensor->zero_point - (tensor->type == TFL_UINT8 ? 128 : 0);
}

int npu_same_scale(const TflTensor *a, const TflTensor *b)
{
    return a->scale == b->scale && a->zero_point == b->zero_point;
}

int npu_same_shape(const TflTensor *a, const TflTensor *b)
{
    if (a->dims->size != b->dims->size)
        return 0;
    for (int i = 0; i < a->dims->size; ++i) {
        if (a->dims->data[i] != b->dims->data[i])
            return 0;
    }
    return 1;
}

const int32_t *npu_constant_ints(const TflTensor *tensor, int32_t count)
{
    const int whole = tensor && tensor->type == TFL_INT32 && npu_is_constant(tensor) && npu_count(tensor) == count &&
                      tensor->bytes == (size_t)count * sizeof(int32_t);
    return whole ? tensor->data : NULL;
}

static int check_one(npu_job *job, const TflTensor *tensor, const char *what, int type)
{
    if (!tensor)
        return npu_refuse(job, "it has no %s", what);
    if (!npu_is_8bit(tensor))
        return npu_refuse(job, "%s is %s: only int8 and uint8 run here", what, npu_type_name(tensor->type));
    if (tensor->type != type)
        return npu_refuse(job, "%s is %s, the input %s", what, npu_type_name(tensor->type), npu_type_name(type));
    if (!(tensor->scale > 0.0f))
        return npu_refuse(job, "%s is %s without quantization", what, npu_type_name(tensor->type));
    if (npu_zero_point(tensor) < -128 || npu_zero_point(tensor) > 127)
        return npu_refuse(job, "%s has the zero point %d", what, (int)tensor->zero_point);
    return 1;
}

int npu_check_activations(npu_job *job)
{
    const TflTensor *input = npu_input(job, 0);
    if (!input)
        return npu_refuse(job, "it has no input");
    if (!check_one(job, input, "input", input->type))
        return 0;
    for (int i = 0; i < job->node->outputs->size; ++i) {
        if (!check_one(job, npu_output(job, i), "output", input->type))
            return 0;
    }
    return 1;
}
