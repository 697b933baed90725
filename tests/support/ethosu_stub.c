/* An external delegate for tests: it takes the custom operators named `ethos-u`, as the i.MX 93's does, and leaves
 * their outputs at zero. It computes nothing: what it proves is that a compiled file travels, loads and is placed. */
#include <stdlib.h>
#include <string.h>

#include "tflite_abi.h"

typedef struct {
    int size;
    int tensors[16];
} outputs_of;

static void *init_kernel(TflContext *context, const char *buffer, size_t length)
{
    const TflDelegateParams *params = (const TflDelegateParams *)(const void *)buffer;
    outputs_of *outputs = calloc(1, sizeof *outputs);
    (void)context;
    (void)length;
    for (int i = 0; outputs && i < params->output_tensors->size && i < 16; ++i)
        outputs->tensors[outputs->size++] = params->output_tensors->data[i];
    return outputs;
}

static void free_kernel(TflContext *context, void *user_data)
{
    (void)context;
    free(user_data);
}

/* The scratch tensors of an `ethos-u` operator have no producer, so the runtime gives them no memory and then refuses
 * to invoke. The NPU's delegate points them at memory of its own; here any address will do, because nothing reads it.
 * What the runtime does allocate it points elsewhere afterwards. */
static int prepare_kernel(TflContext *context, TflNode *node)
{
    static char scratch[16];
    for (int i = 0; i < node->inputs->size; ++i) {
        TflTensor *tensor = &context->tensors[node->inputs->data[i]];
        if (!tensor->data)
            tensor->data = scratch;
    }
    return node->user_data ? TFL_OK : TFL_ERROR;
}

static int invoke_kernel(TflContext *context, TflNode *node)
{
    const outputs_of *outputs = node->user_data;
    for (int i = 0; i < outputs->size; ++i) {
        TflTensor *tensor = &context->tensors[outputs->tensors[i]];
        if (!tensor->data)
            return TFL_ERROR;
        memset(tensor->data, 0, tensor->bytes);
    }
    return TFL_OK;
}

static int prepare_delegate(TflContext *context, TflDelegate *delegate)
{
    TflInts *plan, *taken;
    TflRegistration kernel;
    if (context->GetExecutionPlan(context, &plan) != TFL_OK)
        return TFL_ERROR;
    const int nodes = plan->size;
    taken = calloc(1, sizeof *taken + (size_t)nodes * sizeof(int));
    if (!taken)
        return TFL_ERROR;
    for (int i = 0; i < nodes; ++i) {
        TflNode *node;
        TflRegistration *registration;
        if (context->GetExecutionPlan(context, &plan) != TFL_OK ||
            context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) != TFL_OK)
            break;
        if (registration->custom_name && strcmp(registration->custom_name, "ethos-u") == 0)
            taken->data[taken->size++] = plan->data[i];
    }
    memset(&kernel, 0, sizeof kernel);
    kernel.init = init_kernel;
    kernel.free = free_kernel;
    kernel.prepare = prepare_kernel;
    kernel.invoke = invoke_kernel;
    kernel.custom_name = "ethosu-stub";
    kernel.version = 1;
    const int status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, taken, delegate);
    free(taken);
    return status;
}

__attribute__((visibility("default"))) TflDelegate *
tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report_error)(const char *))
{
    TflDelegate *delegate = calloc(1, sizeof *delegate);
    (void)keys;
    (void)values;
    (void)count;
    (void)report_error;
    if (!delegate)
        return NULL;
    delegate->Prepare = prepare_delegate;
    /* Without this flag the runtime prepares every node first, and none but the delegate knows an `ethos-u` operator.
     */
    delegate->flags = TFL_ALLOW_DYNAMIC;
    return delegate;
}

__attribute__((visibility("default"))) void tflite_plugin_destroy_delegate(TflDelegate *delegate)
{
    free(delegate);
}
