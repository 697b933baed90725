/* npu-standin: what its files share. docs/internals/npu-standin.md is the manual. */
#ifndef NPU_NPU_H
#define NPU_NPU_H

#include "../kernels/kernels.h"
#include "../kernels/prepare.h"
#include "tflite_abi.h"

#define NPU_NAME "npu-standin"
#define NPU_VERSION "1.0"
#define NPU_PATH_BYTES 3072
#define NPU_REASON_BYTES 192
#define NPU_SHIFT_STEPS 4 /* how far NPU_FAULT_SHIFT moves outputs */
#define NPU_CUSTOM 32     /* the operator code of all custom operators */

/* ---- options.c ----------------------------------------------------------------------------------------------- */

enum npu_fault { NPU_FAULT_NONE, NPU_FAULT_ZEROS, NPU_FAULT_ERROR, NPU_FAULT_CRASH, NPU_FAULT_HANG, NPU_FAULT_SHIFT };

typedef struct {
    int32_t rounding; /* enum kn_rounding */
    enum npu_fault fault;
    int64_t fault_at;   /* the invoke (from 1) that the fault begins with */
    uint8_t shift[256]; /* by operator code: 1 for the ops that NPU_FAULT_SHIFT speaks of */
    int64_t latency_us_per_node, compile_ms_per_node;
    char cache_dir[NPU_PATH_BYTES]; /* empty: no cache */
    uint8_t refuse[256];            /* by operator code: 1 to leave the op to the CPU */
} npu_options;

/* Fills `options` from the delegate's option strings. Returns 1, or 0 with the reason in `message`. */
int npu_parse_options(npu_options *options, char **keys, char **values, size_t count, char *message, size_t bytes);

/* ---- op_names.c ---------------------------------------------------------------------------------------------- */

/* The schema's name of an operator code, such as CONV_2D; NULL for a code that it does not know. */
const char *npu_op_name(int32_t code);
/* The code of a name, -1 if there is none. */
int32_t npu_op_code(const char *name, size_t length);

/* ---- pool.c: memory that lives and dies together -------------------------------------------------------------- */

typedef struct npu_block npu_block;
typedef struct {
    npu_block *first;
} npu_pool;

/* Zeroed memory, aligned to 16 bytes; NULL if there is none. */
void *npu_alloc(npu_pool *pool, size_t bytes);
void npu_free_all(npu_pool *pool);

/* ---- compile.c, compile_*.c: from a node of the runtime to an op of the stand-in -------------------------------- */

/* One tensor of a partition. `now` is where its bytes lie during an invoke, as int8 whatever the model stores. */
typedef struct {
    void *now;
    void *own; /* memory of the partition's own, for what is internal or has to be converted */
    int32_t count;
} npu_value;

typedef struct npu_op npu_op;
typedef void (*npu_run)(const npu_op *op, npu_value *const *in, npu_value *const *out);

struct npu_op {
    int32_t node, code;
    int32_t hashed_bytes; /* of `u`, up to its first pointer: what the graph's content hash takes of it */
    npu_run run;
    union {
        struct {
            kn_conv_params params;
            kn_conv_shape shape;
            kn_channel_scales scales;
        } conv;
        struct {
            kn_fully_connected_params params;
            kn_channel_scales scales;
        } dense;
        kn_pool_params pool;
        kn_mean_params mean;
        struct {
            kn_add_params params;
            kn_broadcast broadcast;
        } add;
        struct {
            kn_mul_params params;
            kn_broadcast broadcast;
        } mul;
        kn_broadcast pair;
        kn_rescale_params rescale;
        kn_leaky_relu_params leaky_relu;
        kn_hard_swish_params hard_swish;
        kn_softmax_params softmax;
        int8_t table[256];
        struct {
            int32_t outer, inputs;
            int32_t *sizes;
            const int8_t **data;
            const int8_t **tables; /* NULL where the inputs share the output's scale */
        } concatenation;
        kn_pad_params pad;
        struct {
            int32_t outputs;
            kn_view *views;
        } view;
        struct {
            float scale;
            int32_t zero_point;
        } real;
        int32_t count; /* RESHAPE and its kin */
    } u;
};

/* A node under compilation. Compilers return 1, or 0 with `reason` filled. */
typedef struct {
    TflContext *context;
    const TflNode *node;
    npu_pool *pool;
    npu_op *op;
    int32_t rounding;
    char reason[NPU_REASON_BYTES];
} npu_job;

typedef int (*npu_compiler)(npu_job *job);

/* Compiles one node of an operator code (NPU_CUSTOM for a custom one). Returns 1, or 0 with `job->reason` saying why
 * this node belongs on the CPU. */
int npu_compile(npu_job *job, int32_t code, const npu_options *options);

/* Of the compilers; each refuses with a reason of its own. */
int npu_refuse(npu_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
int npu_compile_conv(npu_job *job);
int npu_compile_depthwise(npu_job *job);
int npu_compile_fully_connected(npu_job *job);
int npu_compile_max_pool(npu_job *job);
int npu_compile_average_pool(npu_job *job);
int npu_compile_mean(npu_job *job);
int npu_compile_add(npu_job *job);
int npu_compile_sub(npu_job *job);
int npu_compile_mul(npu_job *job);
int npu_compile_maximum(npu_job *job);
int npu_compile_minimum(npu_job *job);
int npu_compile_relu(npu_job *job);
int npu_compile_relu6(npu_job *job);
int npu_compile_relu_n1_to_1(npu_job *job);
int npu_compile_leaky_relu(npu_job *job);
int npu_compile_hard_swish(npu_job *job);
int npu_compile_logistic(npu_job *job);
int npu_compile_tanh(npu_job *job);
int npu_compile_softmax(npu_job *job);
int npu_compile_quantize(npu_job *job);
int npu_compile_dequantize(npu_job *job);
int npu_compile_concatenation(npu_job *job);
int npu_compile_pad(npu_job *job);
int npu_compile_reshape(npu_job *job);
int npu_compile_transpose(npu_job *job);
int npu_compile_strided_slice(npu_job *job);
int npu_compile_slice(npu_job *job);
int npu_compile_split(npu_job *job);

/* ---- tensors.c: questions about the tensors of a node ----------------------------------------------------------- */

/* Input or output `i` of the job's node; NULL for an absent optional one. */
const TflTensor *npu_input(const npu_job *job, int i);
const TflTensor *npu_output(const npu_job *job, int i);
int npu_is_8bit(const TflTensor *tensor);
int npu_is_constant(const TflTensor *tensor);
const char *npu_type_name(int type);
/* Elements of the tensor; 0 if over 31 bits or a dimension is not positive. */
int32_t npu_count(const TflTensor *tensor);
/* The zero point as the kernels count: that of uint8 lowered by 128. */
int32_t npu_zero_point(const TflTensor *tensor);
int npu_same_scale(const TflTensor *a, const TflTensor *b);
int npu_same_shape(const TflTensor *a, const TflTensor *b);
/* `count` numbers of a constant int32 tensor, or NULL. */
const int32_t *npu_constant_ints(const TflTensor *tensor, int32_t count);
/* Refuses unless input 0 and every output are int8 or all are uint8, with a scale. */
int npu_check_activations(npu_job *job);

/* ---- graph.c: a partition ---------------------------------------------------------------------------------------- */

typedef struct npu_graph npu_graph;

/* A node as it was when the partition was made: later the runtime does not give it out again. */
typedef struct {
    TflNode node;
    int32_t index, code;
} npu_source;

/* Compiles the nodes of a partition; reports to the runtime and returns NULL on failure. */
npu_graph *npu_graph_make(TflContext *context, const npu_options *options, int nodes, const npu_source *sources,
                          const TflInts *inputs, const TflInts *outputs);
void npu_graph_free(npu_graph *graph);
int npu_graph_nodes(const npu_graph *graph);
/* Runs it on the runtime's tensors, with a fault of its numbers (zeros, shift). Returns 1, or 0 if a shape has changed.
 */
int npu_graph_run(npu_graph *graph, TflContext *context, const npu_options *options, enum npu_fault fault);
/* 32 hexadecimal digits and NUL: a content hash of operators, parameters, constants and wiring. */
void npu_graph_hash(const npu_graph *graph, TflContext *context, const npu_options *options, char text[33]);

/* ---- cache.c ------------------------------------------------------------------------------------------------------
 */

/* 1: there is a whole entry for this graph. 0: there is none. -1: there is one, but it is damaged. */
int npu_cache_has(const char *folder, const char *hash);
/* Writes an entry under a temporary name and renames it. 0, or the errno of what failed. */
int npu_cache_store(const char *folder, const char *hash, int nodes);

/* ---- log.c ---------------------------------------------------------------------------------------------------------
 */

/* One line on stderr, written at once: "npu-standin: " and the text. */
void npu_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Waits; short times are spun out, so that a microsecond is one. */
void npu_wait_us(int64_t microseconds);

#endif
