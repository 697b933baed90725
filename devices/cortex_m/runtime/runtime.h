/* What the firmware asks of an inference runtime. One of them is linked: the plan runtime of this folder, or an adapter
 * to another one.
 *
 * The caller owns all memory. Nothing here allocates; state lives in the file that implements it, for one model at a
 * time.
 */
#ifndef CORTEX_M_RUNTIME_H
#define CORTEX_M_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_MODEL_PLAN = 1, RT_MODEL_TFLITE = 2 };

/* Codes of docs/internals/serial-protocol.md that a runtime may answer with. */
enum { RT_OK = 0, RT_TOO_LARGE = 6, RT_BAD_MODEL = 8, RT_UNSUPPORTED_OP = 9, RT_RUN_FAILED = 10 };

typedef struct {
    uint16_t detail;  /* the node; 0xFFFF where no one node is meant */
    const char *text; /* a constant string, in words a user can act on */
} rt_error;

typedef struct {
    uint8_t *data;
    uint32_t bytes;
} rt_tensor;

/* Name and version, as they stand in a record: "plan 1". */
const char *rt_name(void);
uint32_t rt_model_kind(void);
uint32_t rt_plan_version(void); /* 0 where model_kind is not a plan */
uint32_t rt_kernels(void);      /* 1 portable, 2 DSP, 3 MVE; 0 where the runtime brings its own. */
uint64_t rt_ops(void);          /* bit n: op n of plan.h; 0 for another model kind */
uint64_t rt_late_ops(void);     /* bit n: op 64 + n */

/* Validates a model and makes it ready. `model` and `arena` are multiples of 16 and stay valid and unchanged but for
 * the arena until rt_unload. Returns RT_OK, or a code with `error` filled in; then nothing is loaded. */
int rt_load(const uint8_t *model, uint32_t model_bytes, uint8_t *arena, uint32_t arena_bytes, rt_error *error);
void rt_unload(void);

/* Of the loaded model. */
uint32_t rt_arena_used(void);
uint32_t rt_input_count(void);
uint32_t rt_output_count(void);
rt_tensor rt_input(uint32_t index);
rt_tensor rt_output(uint32_t index);

/* Puts what the model keeps from one inference to the next back into its initial state; nothing where it keeps none. */
int rt_reset(rt_error *error);

/* One inference, from the inputs as they are now. It may use the inputs' memory for other tensors: set them before
 * every call. */
int rt_invoke(rt_error *error);

/* Builds with the ops of some models only leave out what tells nodes apart: they are there to be small. */
#ifndef RT_LAYERS
#define RT_LAYERS 1
#endif

/* How many nodes an inference runs; 0 where the runtime does not tell them apart. */
uint32_t rt_node_count(void);

/* As rt_invoke, with `mark` called before the first node and behind each: rt_node_count() + 1 times. With `dry` nothing
 * of the model runs: what is left is what telling the nodes apart takes. Only where rt_node_count() is not 0. */
typedef void (*rt_mark)(void);
int rt_invoke_marked(rt_mark mark, int dry, rt_error *error);

#ifdef __cplusplus
}
#endif

#endif
