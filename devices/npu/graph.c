/* A partition: its ops, and where each of its tensors lies during an invoke.
 *
 * Inside, everything is int8: uint8 tensors are converted where they enter and where they leave, uint8 constants once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npu.h"

enum { ROLE_INPUT = 1, ROLE_OUTPUT = 2, NPU_OPTIONAL = 3 };

struct npu_graph {
    npu_pool pool;
    int nodes;
    npu_op *ops;
    const TflInts **op_inputs, **op_outputs; /* tensor numbers, of the runtime */
    npu_value ***in, ***out;                 /* the same as values; NULL for an absent input */
    npu_value *values;                       /* by tensor number; count 0 for those of others */
    int32_t boundary;                        /* tensors that enter or leave */
    int32_t *boundary_tensors;
    uint8_t *boundary_roles;
};

/* 128 bits of FNV-1a over two different starting points: enough to tell graphs apart, not a signature. */
typedef struct {
    uint64_t low, high;
} hash_state;

static void hash_bytes(hash_state *state, const void *data, size_t bytes)
{
    const uint64_t prime = 0x100000001b3u;
    for (const uint8_t *next = data, *end = next + bytes; next < end; ++next) {
        state->low = (state->low ^ *next) * prime;
        state->high = (state->high ^ *next) * prime + (state->high >> 41);
    }
}

static void hash_int(hash_state *state, int64_t value)
{
    hash_bytes(state, &value, sizeof value);
}

static void hash_tensor(hash_state *state, const TflTensor *tensor)
{
    const TflAffine *affine = tensor->quantization == TFL_AFFINE ? tensor->quantization_params : NULL;
    hash_int(state, tensor->type);
    hash_bytes(state, tensor->dims->data, (size_t)tensor->dims->size * sizeof(int));
    hash_bytes(state, &tensor->scale, sizeof tensor->scale);
    hash_int(state, tensor->zero_point);
    if (affine && affine->scale)
        hash_bytes(state, affine->scale->data, (size_t)affine->scale->size * sizeof(float));
    if (npu_is_constant(tensor))
        hash_bytes(state, tensor->data, tensor->bytes);
}

void npu_graph_hash(const npu_graph *graph, TflContext *context, const npu_options *options, char text[33])
{
    hash_state state = {0xcbf29ce484222325u, 0x6c62272e07bb0142u};
    hash_bytes(&state, NPU_VERSION, sizeof NPU_VERSION);
    hash_int(&state, options->rounding);
    for (int i = 0; i < graph->nodes; ++i) {
        const npu_op *op = &graph->ops[i];
        hash_int(&state, op->code);
        hash_bytes(&state, &op->u, (size_t)op->hashed_bytes);
        for (int part = 0; part < 2; ++part) {
            const TflInts *tensors = part ? graph->op_outputs[i] : graph->op_inputs[i];
            for (int k = 0; k < tensors->size; ++k) {
                hash_int(&state, tensors->data[k]);
                if (tensors->data[k] >= 0)
                    hash_tensor(&state, &context->tensors[tensors->data[k]]);
            }
        }
    }
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)state.high, (unsigned long long)state.low);
}

static size_t element_bytes(const TflTensor *tensor)
{
    return tensor->type == TFL_FLOAT32 || tensor->type == TFL_INT32 ? 4 : 1;
}

/* Gives a tensor its place. Those whose place is the runtime's (int8 and float at the boundary) get it at each invoke.
 */
static int place(npu_graph *graph, const TflTensor *tensor, int role, npu_value *value)
{
    if (value->count)
        return 1;
    value->count = npu_count(tensor);
    if (npu_is_constant(tensor) && tensor->type != TFL_UINT8) {
        value->now = tensor->data;
        return 1;
    }
    if (role && tensor->type != TFL_UINT8)
        return 1;
    value->own = npu_alloc(&graph->pool, (size_t)value->count * element_bytes(tensor));
    value->now = value->own;
    if (value->own && npu_is_constant(tensor))
        kn_flip_sign(value->count, tensor->data, value->own);
    return value->own != NULL;
}

static npu_value **place_all(npu_graph *graph, TflContext *context, const TflInts *tensors, const uint8_t *roles,
                             npu_value *values)
{
    /* Optional inputs at the end may be left out of the node's list; ops find NULL in their place. */
    npu_value **list = npu_alloc(&graph->pool, ((size_t)tensors->size + NPU_OPTIONAL) * sizeof *list);
    for (int i = 0; list && i < tensors->size; ++i) {
        const int index = tensors->data[i];
        if (index < 0)
            continue; /* optional and absent */
        list[i] = &values[index];
        if (!place(graph, &context->tensors[index], roles[index], list[i]))
            return NULL;
    }
    return list;
}

/* Compiles node by node. Returns 0 after a report. */
static int compile_nodes(npu_graph *graph, TflContext *context, const npu_options *options, const npu_source *sources)
{
    for (int i = 0; i < graph->nodes; ++i) {
        const npu_source *source = &sources[i];
        graph->ops[i].node = source->index;
        graph->op_inputs[i] = source->node.inputs;
        graph->op_outputs[i] = source->node.outputs;
        npu_job job = {context, &source->node, &graph->pool, &graph->ops[i], options->rounding, ""};
        if (!npu_compile(&job, source->code, options)) {
            /* It was taken before: what has changed since are the shapes. */
            context->ReportError(context, NPU_NAME ": node %d no longer fits this NPU: %s. ", source->index,
                                 job.reason);
            return 0;
        }
    }
    return 1;
}

static int make_boundary(npu_graph *graph, TflContext *context, const TflInts *inputs, const TflInts *outputs,
                         uint8_t *roles)
{
    const int32_t most = inputs->size + outputs->size;
    graph->boundary_tensors = npu_alloc(&graph->pool, (size_t)most * sizeof(int32_t));
    graph->boundary_roles = npu_alloc(&graph->pool, (size_t)most);
    if (!graph->boundary_tensors || !graph->boundary_roles)
        return 0;
    for (int part = 0; part < 2; ++part) {
        const TflInts *list = part ? outputs : inputs;
        for (int i = 0; i < list->size; ++i) {
            const int index = list->data[i];
            if (index < 0 || npu_is_constant(&context->tensors[index]))
                continue;
            roles[index] = part ? ROLE_OUTPUT : ROLE_INPUT;
            graph->boundary_tensors[graph->boundary] = index;
            graph->boundary_roles[graph->boundary++] = roles[index];
        }
    }
    return 1;
}

npu_graph *npu_graph_make(TflContext *context, const npu_options *options, int nodes, const npu_source *sources,
                          const TflInts *inputs, const TflInts *outputs)
{
    npu_graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return NULL;
    const size_t count = (size_t)nodes;
    graph->nodes = nodes;
    graph->ops = npu_alloc(&graph->pool, count * sizeof *graph->ops);
    graph->op_inputs = npu_alloc(&graph->pool, count * sizeof *graph->op_inputs);
    graph->op_outputs = npu_alloc(&graph->pool, count * sizeof *graph->op_outputs);
    graph->in = npu_alloc(&graph->pool, count * sizeof *graph->in);
    graph->out = npu_alloc(&graph->pool, count * sizeof *graph->out);
    graph->values = npu_alloc(&graph->pool, context->tensors_size * sizeof *graph->values);
    uint8_t *roles = npu_alloc(&graph->pool, context->tensors_size);
    int ok = graph->ops && graph->op_inputs && graph->op_outputs && graph->in && graph->out && graph->values && roles &&
             compile_nodes(graph, context, options, sources) && make_boundary(graph, context, inputs, outputs, roles);
    for (int i = 0; ok && i < graph->nodes; ++i) {
        graph->in[i] = place_all(graph, context, graph->op_inputs[i], roles, graph->values);
        graph->out[i] = place_all(graph, context, graph->op_outputs[i], roles, graph->values);
        ok = graph->in[i] && graph->out[i];
    }
    if (ok)
        return graph;
    context->ReportError(context, NPU_NAME ": a partition of %d nodes could not be prepared. ", nodes);
    npu_graph_free(graph);
    return NULL;
}

void npu_graph_free(npu_graph *graph)
{
    if (graph)
        npu_free_all(&graph->pool);
    free(graph);
}

int npu_graph_nodes(const npu_graph *graph)
{
    return graph->nodes;
}

/* Takes the runtime's places of this invoke and brings uint8 inputs in. 0 if a tensor has no memory or another size. */
static int enter(npu_graph *graph, TflContext *context)
{
    for (int32_t i = 0; i < graph->boundary; ++i) {
        const TflTensor *tensor = &context->tensors[graph->boundary_tensors[i]];
        npu_value *value = &graph->values[graph->boundary_tensors[i]];
        if (!value->count)
            continue; /* nothing here uses it */
        if (!tensor->data || npu_count(tensor) != value->count)
            return 0;
        if (!value->own)
            value->now = tensor->data;
        else if (graph->boundary_roles[i] == ROLE_INPUT)
            kn_flip_sign(value->count, tensor->data, value->own);
    }
    return 1;
}

static void leave(npu_graph *graph, TflContext *context, int zeros)
{
    for (int32_t i = 0; i < graph->boundary; ++i) {
        TflTensor *tensor = &context->tensors[graph->boundary_tensors[i]];
        const npu_value *value = &graph->values[graph->boundary_tensors[i]];
        if (graph->boundary_roles[i] != ROLE_OUTPUT || !value->count)
            continue;
        if (zeros)
            memset(tensor->data, 0, tensor->bytes);
        else if (value->own)
            kn_flip_sign(value->count, value->own, tensor->data);
    }
}

/* An injected error: every int8 output of an op is some steps too high. */
static void shift(const TflContext *context, const TflInts *tensors, npu_value *const *out)
{
    for (int i = 0; i < tensors->size; ++i) {
        const int type = context->tensors[tensors->data[i]].type;
        if (type != TFL_INT8 && type != TFL_UINT8)
            continue;
        int8_t *values = out[i]->now;
        for (int32_t k = 0; k < out[i]->count; ++k)
            values[k] = (int8_t)(values[k] > INT8_MAX - NPU_SHIFT_STEPS ? INT8_MAX : values[k] + NPU_SHIFT_STEPS);
    }
}

int npu_graph_run(npu_graph *graph, TflContext *context, const npu_options *options, enum npu_fault fault)
{
    if (!enter(graph, context))
        return 0;
    for (int i = 0; i < graph->nodes; ++i) {
        graph->ops[i].run(&graph->ops[i], graph->in[i], graph->out[i]);
        if (fault == NPU_FAULT_SHIFT && options->shift[graph->ops[i].code])
            shift(context, graph->op_outputs[i], graph->out[i]);
    }
    leave(graph, context, fault == NPU_FAULT_ZEROS);
    return 1;
}
