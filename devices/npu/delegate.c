/* npu-standin: an external TensorFlow Lite delegate that behaves like an integer-only NPU. It is a stand-in for boards
 * made of QEMU, where the vendor's delegate cannot run. docs/internals/npu-standin.md is the manual. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "npu.h"

#define EXPORTED __attribute__((visibility("default")))

typedef struct {
    TflDelegate base; /* first: the runtime knows the delegate by this address */
    npu_options options;
    int partitions;
} standin;

/* What a DELEGATE node of the runtime carries. */
typedef struct {
    const standin *device;
    npu_source *sources;
    int nodes;
    TflInts *inputs, *outputs;
    npu_graph *graph;
    int number;
    int fresh;         /* the graph was made since the last invoke */
    char compiled[33]; /* hash of what the "device" holds */
    int64_t invokes;
} partition;

/* ---- partitions ------------------------------------------------------------------------------------------------ */

static TflInts *copy_ints(const TflInts *list)
{
    const size_t bytes = sizeof *list + (size_t)list->size * sizeof list->data[0];
    TflInts *copy = malloc(bytes);
    return copy ? memcpy(copy, list, bytes) : NULL;
}

static int32_t operator_code(const TflRegistration *registration)
{
    return registration->custom_name ? NPU_CUSTOM : registration->builtin_code;
}

/* The runtime gives nodes out only while the delegate is being applied, which includes `init`. */
static npu_source *copy_nodes(TflContext *context, const TflInts *indices)
{
    npu_source *sources = calloc((size_t)indices->size + 1, sizeof *sources);
    for (int i = 0; sources && i < indices->size; ++i) {
        TflNode *node;
        TflRegistration *registration;
        if (context->GetNodeAndRegistration(context, indices->data[i], &node, &registration) != TFL_OK) {
            free(sources);
            return NULL;
        }
        sources[i] = (npu_source){*node, indices->data[i], operator_code(registration)};
    }
    return sources;
}

static void free_partition(TflContext *context, void *user_data)
{
    partition *part = user_data;
    (void)context;
    if (!part)
        return;
    npu_graph_free(part->graph);
    free(part->sources);
    free(part->inputs);
    free(part->outputs);
    free(part);
}

static void *init_partition(TflContext *context, const char *buffer, size_t length)
{
    const TflDelegateParams *params = (const TflDelegateParams *)(const void *)buffer;
    standin *device = params->delegate->data;
    partition *part = calloc(1, sizeof *part);
    (void)length;
    if (!part)
        return NULL;
    part->device = device;
    part->number = device->partitions++;
    part->nodes = params->nodes_to_replace->size;
    part->sources = copy_nodes(context, params->nodes_to_replace);
    part->inputs = copy_ints(params->input_tensors);
    part->outputs = copy_ints(params->output_tensors);
    if (part->sources && part->inputs && part->outputs)
        return part;
    free_partition(context, part);
    return NULL;
}

static int prepare_partition(TflContext *context, TflNode *node)
{
    partition *part = node->user_data;
    if (!part) {
        context->ReportError(context, NPU_NAME
                             ": a partition could not be made: no memory, or the runtime did not give its nodes. ");
        return TFL_ERROR;
    }
    npu_graph_free(part->graph);
    part->graph =
        npu_graph_make(context, &part->device->options, part->nodes, part->sources, part->inputs, part->outputs);
    part->fresh = 1;
    return part->graph ? TFL_OK : TFL_ERROR;
}

/* The first invoke of a graph: compiled at its cost, or taken from the cache. */
static void compile_partition(partition *part, TflContext *context)
{
    const npu_options *options = &part->device->options;
    const int nodes = npu_graph_nodes(part->graph);
    const int64_t cost_ms = nodes * options->compile_ms_per_node;
    char hash[33];
    npu_graph_hash(part->graph, context, options, hash);
    part->fresh = 0;
    if (strcmp(hash, part->compiled) == 0)
        return;
    memcpy(part->compiled, hash, sizeof hash);
    const int cached = options->cache_dir[0] ? npu_cache_has(options->cache_dir, hash) : 0;
    if (cached == 1) {
        npu_log("cached partition=%d nodes=%d graph=%s", part->number, nodes, hash);
        return;
    }
    npu_wait_us(cost_ms * 1000);
    const char *state = !options->cache_dir[0] ? "off" : cached < 0 ? "replaced" : "stored";
    const int error = options->cache_dir[0] ? npu_cache_store(options->cache_dir, hash, nodes) : 0;
    npu_log("compiled partition=%d nodes=%d graph=%s cost_ms=%lld cache=%s", part->number, nodes, hash,
            (long long)cost_ms, error ? "failed" : state);
    if (error)
        npu_log("warning cache_dir %s: %s", options->cache_dir, strerror(error));
}

/* A fault that begins with the Nth invoke. Returns 0 if this invoke must fail. */
static int strike(partition *part, TflContext *context, enum npu_fault fault)
{
    if (part->invokes == part->device->options.fault_at)
        npu_log("fault invoke=%lld", (long long)part->invokes);
    switch (fault) {
    case NPU_FAULT_ERROR:
        context->ReportError(context, NPU_NAME ": injected error in invoke %lld. ", (long long)part->invokes);
        return 0;
    case NPU_FAULT_CRASH:
        raise(SIGSEGV);
        return 0;
    case NPU_FAULT_HANG:
        for (;;)
            pause();
    case NPU_FAULT_NONE:
    case NPU_FAULT_ZEROS:
    case NPU_FAULT_SHIFT:
        break;
    }
    return 1;
}

static int invoke_partition(TflContext *context, TflNode *node)
{
    partition *part = node->user_data;
    const npu_options *options = &part->device->options;
    ++part->invokes;
    const enum npu_fault fault = part->invokes >= options->fault_at ? options->fault : NPU_FAULT_NONE;
    if (part->fresh)
        compile_partition(part, context);
    if (fault != NPU_FAULT_NONE && !strike(part, context, fault))
        return TFL_ERROR;
    if (!npu_graph_run(part->graph, context, options, fault)) {
        context->ReportError(context,
                             NPU_NAME ": a tensor at the border of partition %d has no memory or changed its size. ",
                             part->number);
        return TFL_ERROR;
    }
    if (options->latency_us_per_node)
        npu_wait_us(npu_graph_nodes(part->graph) * options->latency_us_per_node);
    return TFL_OK;
}

/* ---- the delegate ------------------------------------------------------------------------------------------------ */

/* Tries to compile one node, which tells whether it can be taken, and logs the answer. */
static int takes(const standin *device, TflContext *context, int index, const TflNode *node,
                 const TflRegistration *registration)
{
    npu_pool pool = {NULL};
    npu_op op = {0};
    npu_job job = {context, node, &pool, &op, device->options.rounding, ""};
    const int taken = npu_compile(&job, operator_code(registration), &device->options);
    const char *known = npu_op_name(operator_code(registration));
    char number[24];
    snprintf(number, sizeof number, "BUILTIN_%d", (int)operator_code(registration));
    const char *name = known ? known : number;
    if (taken)
        npu_log("claimed node=%d op=%s", index, name);
    else
        npu_log("refused node=%d op=%s reason=%s", index, name, job.reason);
    npu_free_all(&pool);
    return taken;
}

static int prepare_delegate(TflContext *context, TflDelegate *delegate)
{
    standin *device = delegate->data;
    TflInts *plan;
    if (context->GetExecutionPlan(context, &plan) != TFL_OK)
        return TFL_ERROR;
    /* The runtime's list lives only until it is asked again. */
    TflInts *order = copy_ints(plan), *taken = copy_ints(plan);
    int status = order && taken ? TFL_OK : TFL_ERROR;
    if (taken)
        taken->size = 0;
    for (int i = 0; status == TFL_OK && i < order->size; ++i) {
        TflNode *node;
        TflRegistration *registration;
        status = context->GetNodeAndRegistration(context, order->data[i], &node, &registration);
        if (status == TFL_OK && takes(device, context, order->data[i], node, registration))
            taken->data[taken->size++] = order->data[i];
    }
    if (status == TFL_OK && taken->size) {
        TflRegistration registration;
        memset(&registration, 0, sizeof registration);
        registration.init = init_partition;
        registration.free = free_partition;
        registration.prepare = prepare_partition;
        registration.invoke = invoke_partition;
        registration.custom_name = NPU_NAME;
        registration.version = 1;
        status = context->ReplaceNodeSubsetsWithDelegateKernels(context, registration, taken, delegate);
    }
    if (status == TFL_OK)
        npu_log("delegated nodes=%d of=%d partitions=%d", taken->size, order->size, device->partitions);
    free(order);
    free(taken);
    return status;
}

EXPORTED TflDelegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                                    void (*report_error)(const char *))
{
    char message[512];
    standin *device = calloc(1, sizeof *device);
    if (!device || !npu_parse_options(&device->options, keys, values, count, message, sizeof message)) {
        if (report_error)
            report_error(device ? message : NPU_NAME ": no memory");
        free(device);
        return NULL;
    }
    device->base.data = device;
    device->base.Prepare = prepare_delegate;
    device->base.flags = TFL_ALLOW_DYNAMIC | TFL_PROPAGATE_SHAPES;
    npu_log("version=%s rounding=%s: a stand-in for an integer-only NPU, not the vendor's delegate", NPU_VERSION,
            device->options.rounding == KN_ROUND_SINGLE ? "single" : "double");
    return &device->base;
}

EXPORTED void tflite_plugin_destroy_delegate(TflDelegate *delegate)
{
    if (delegate)
        free(delegate->data);
}
