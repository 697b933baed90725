/* Which nodes the stand-in takes: the operators it has, and what holds for all of them. The rules are those of the VX
 * delegate (its public source) narrowed to what an integer-only device can do and devices/kernels/ implements;
 * harness/tflite/delegates/npu-standin.yaml is the same list as data, and tests hold the two together. */
#include <stdarg.h>
#include <stdio.h>

#include "npu.h"

typedef struct {
    int32_t code;
    npu_compiler compile;
} entry;

static const entry operators[] = {
    {0, npu_compile_add},
    {1, npu_compile_average_pool},
    {2, npu_compile_concatenation},
    {3, npu_compile_conv},
    {4, npu_compile_depthwise},
    {6, npu_compile_dequantize},
    {9, npu_compile_fully_connected},
    {14, npu_compile_logistic},
    {17, npu_compile_max_pool},
    {18, npu_compile_mul},
    {19, npu_compile_relu},
    {20, npu_compile_relu_n1_to_1},
    {21, npu_compile_relu6},
    {22, npu_compile_reshape},
    {25, npu_compile_softmax},
    {28, npu_compile_tanh},
    {34, npu_compile_pad},
    {39, npu_compile_transpose},
    {40, npu_compile_mean},
    {41, npu_compile_sub},
    {43, npu_compile_reshape}, /* SQUEEZE */
    {45, npu_compile_strided_slice},
    {49, npu_compile_split},
    {55, npu_compile_maximum},
    {57, npu_compile_minimum},
    {65, npu_compile_slice},
    {70, npu_compile_reshape}, /* EXPAND_DIMS */
    {98, npu_compile_leaky_relu},
    {114, npu_compile_quantize},
    {117, npu_compile_hard_swish},
};

int npu_refuse(npu_job *job, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(job->reason, sizeof job->reason, format, arguments);
    va_end(arguments);
    return 0;
}

static npu_compiler find(int32_t code)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; ++i) {
        if (operators[i].code == code)
            return operators[i].compile;
    }
    return NULL;
}

static int check_shape(npu_job *job, const TflTensor *tensor)
{
    if (tensor->dims->size > KN_MAX_RANK)
        return npu_refuse(job, "a tensor has %d dimensions, %d at most run here", tensor->dims->size, KN_MAX_RANK);
    if (npu_count(tensor) == 0)
        return npu_refuse(job, "a tensor is empty, dynamic or over 2^31 elements");
    return 1;
}

static int check_all(npu_job *job)
{
    for (int i = 0; i < job->node->inputs->size; ++i) {
        const TflTensor *tensor = npu_input(job, i);
        if (!tensor)
            continue; /* optional and absent */
        if (tensor->type == TFL_INT64)
            return npu_refuse(job, "input %d is int64", i);
        if (!check_shape(job, tensor))
            return 0;
    }
    for (int i = 0; i < job->node->outputs->size; ++i) {
        const TflTensor *tensor = npu_output(job, i);
        if (!tensor)
            return npu_refuse(job, "output %d is absent", i);
        if (tensor->type == TFL_INT16 || tensor->type == TFL_INT64)
            return npu_refuse(job, "output is %s", npu_type_name(tensor->type));
        if (!check_shape(job, tensor))
            return 0;
    }
    return 1;
}

int npu_compile(npu_job *job, int32_t code, const npu_options *options)
{
    const npu_compiler compile = find(code);
    job->op->code = code;
    job->op->hashed_bytes = (int32_t)sizeof job->op->u;
    if (code >= 0 && code < 256 && options->refuse[code])
        return npu_refuse(job, "the option `refuse` names it");
    if (!compile)
        return npu_refuse(job, code == NPU_CUSTOM ? "it is a custom operator" : "this NPU has no such operator");
    return check_all(job) && compile(job);
}
