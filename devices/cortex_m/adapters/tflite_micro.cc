/* runtime.h with TFLite Micro behind it, compiled when a build is pointed at a TFLite Micro of the user's own
 * (docs/guides/tflite-micro.md). The model is the .tflite itself.
 */
#include <stddef.h>
#include <stdint.h>

#include "flatbuffers/flatbuffers.h"
#include "runtime.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tensorflow/lite/schema/schema_utils.h"
#include "tflite_micro_ops.h"
#include "tflite_micro_text.h"

#ifndef TFLM_BUILD
#define TFLM_BUILD "unknown"
#endif

namespace
{

using Interpreter = tflite::MicroInterpreter;

struct Place {};
alignas(Interpreter) uint8_t space[sizeof(Interpreter)];
Interpreter *interpreter; /* nullptr: nothing is loaded */

struct Loading {
    const uint8_t *model;
    uint32_t model_bytes;
    uint8_t *arena;
    uint32_t arena_bytes;
};

/* The library's objects with constructors, if it has any: there is no C++ start-up code in this firmware. */
extern "C" void (*const __init_array_start[])(void);
extern "C" void (*const __init_array_end[])(void);

void construct_globals()
{
    static bool done;
    if (done)
        return;
    done = true;
    for (void (*const *constructor)(void) = __init_array_start; constructor != __init_array_end; ++constructor)
        (*constructor)();
}

bool has_op(const tflite::MicroOpResolver &ops, const tflite::OperatorCode &code)
{
    const tflite::BuiltinOperator builtin = tflite::GetBuiltinCode(&code);
    if (builtin != tflite::BuiltinOperator_CUSTOM)
        return ops.FindOp(builtin) != nullptr;
    return code.custom_code() && ops.FindOp(code.custom_code()->c_str()) != nullptr;
}

const char *name_of(const tflite::OperatorCode &code)
{
    const tflite::BuiltinOperator builtin = tflite::GetBuiltinCode(&code);
    if (builtin != tflite::BuiltinOperator_CUSTOM)
        return tflite::EnumNameBuiltinOperator(builtin);
    return code.custom_code() ? code.custom_code()->c_str() : "CUSTOM";
}

/* Every op of the model that is not registered, by name; the first node of the first one as the node. */
int check_ops(const tflite::Model &model, const tflite::MicroOpResolver &ops, uint16_t *first_node)
{
    const auto *const codes = model.operator_codes();
    const auto *const nodes = model.subgraphs()->Get(0)->operators();
    int missing = 0;
    for (uint32_t index = 0; codes && index < codes->size(); ++index) {
        const tflite::OperatorCode &code = *codes->Get(index);
        if (has_op(ops, code))
            continue;
        tflm_text_add(missing ? ", %s" : "this firmware's TFLite Micro was not given the op %s", name_of(code));
        for (uint32_t node = 0; !missing && nodes && node < nodes->size(); ++node)
            if (nodes->Get(node)->opcode_index() == index && *first_node == TFLM_NO_NODE)
                *first_node = static_cast<uint16_t>(node);
        ++missing;
    }
    return missing ? RT_UNSUPPORTED_OP : RT_OK;
}

/* The library trusts every offset of a model: this looks at them first. */
int check_model(const Loading &loading)
{
    flatbuffers::Verifier verifier(loading.model, loading.model_bytes);
    if (!tflite::VerifyModelBuffer(verifier)) {
        tflm_text_add("this is not a .tflite file, or it is damaged");
        return RT_BAD_MODEL;
    }
    const tflite::Model &model = *tflite::GetModel(loading.model);
    if (model.version() != TFLITE_SCHEMA_VERSION) {
        tflm_text_add("the .tflite has schema version %u, the library has %d", model.version(), TFLITE_SCHEMA_VERSION);
        return RT_BAD_MODEL;
    }
    if (!model.subgraphs() || model.subgraphs()->size() == 0 || !model.subgraphs()->Get(0)->inputs() ||
        !model.subgraphs()->Get(0)->outputs()) {
        tflm_text_add("the .tflite has no graph with inputs and outputs");
        return RT_BAD_MODEL;
    }
    return RT_OK;
}

} // namespace

inline void *operator new(size_t, Place, void *at)
{
    return at;
}

static int load(void *argument)
{
    const Loading &loading = *static_cast<const Loading *>(argument);
    construct_globals();
    const tflite::MicroOpResolver *const ops = tflm_ops();
    if (!ops)
        return RT_RUN_FAILED;
    const int code = check_model(loading);
    if (code != RT_OK)
        return code;
    uint16_t node = TFLM_NO_NODE;
    const tflite::Model &model = *tflite::GetModel(loading.model);
    if (check_ops(model, *ops, &node) != RT_OK) {
        tflm_text_set_node(node);
        return RT_UNSUPPORTED_OP;
    }
    Interpreter *const made = new (Place(), space) Interpreter(&model, *ops, loading.arena, loading.arena_bytes);
    if (made->initialization_status() != kTfLiteOk || made->AllocateTensors() != kTfLiteOk)
        return tflm_text_says_too_large() ? RT_TOO_LARGE : RT_UNSUPPORTED_OP;
    interpreter = made;
    return RT_OK;
}

static int invoke(void *)
{
    return interpreter->Invoke() == kTfLiteOk ? RT_OK : RT_RUN_FAILED;
}

static int reset(void *)
{
    return interpreter->Reset() == kTfLiteOk ? RT_OK : RT_RUN_FAILED;
}

static int failed(int code, rt_error *error, const char *otherwise)
{
    error->detail = tflm_text_node();
    error->text = tflm_text(otherwise);
    return code;
}

/* Work on the loaded model that may fail, or give up. */
static int guarded(int (*work)(void *), rt_error *error)
{
    tflm_text_clear();
    if (!interpreter) {
        tflm_text_add("no model is loaded");
        return failed(RT_RUN_FAILED, error, "");
    }
    enum { GAVE_UP = -1 };
    const int code = tflm_guarded(work, nullptr, GAVE_UP);
    if (code == RT_OK)
        return RT_OK;
    /* What it had under way is lost: the next inference says that nothing is loaded. */
    if (code == GAVE_UP)
        interpreter = nullptr;
    return failed(RT_RUN_FAILED, error, "TFLite Micro failed; its library was built without the texts that say why");
}

static rt_tensor bytes_of(const TfLiteTensor *tensor)
{
    rt_tensor found = {nullptr, 0};
    if (tensor) {
        found.data = static_cast<uint8_t *>(tensor->data.data);
        found.bytes = static_cast<uint32_t>(tensor->bytes);
    }
    return found;
}

extern "C" {

const char *rt_name(void)
{
    return "tflite-micro " TFLM_BUILD;
}

uint32_t rt_model_kind(void)
{
    return RT_MODEL_TFLITE;
}

uint32_t rt_plan_version(void)
{
    return 0;
}

uint32_t rt_kernels(void)
{
    return 0;
}

uint64_t rt_ops(void)
{
    return 0;
}

uint64_t rt_late_ops(void)
{
    return 0;
}

int rt_load(const uint8_t *model, uint32_t model_bytes, uint8_t *arena, uint32_t arena_bytes, rt_error *error)
{
    Loading loading = {model, model_bytes, arena, arena_bytes};
    rt_unload();
    tflm_text_clear();
    const int code = tflm_guarded(load, &loading, RT_UNSUPPORTED_OP);
    if (code == RT_OK)
        return RT_OK;
    return failed(code, error, "TFLite Micro refuses the model; its library was built without the texts that say why");
}

/* Its destructor lets kernels free what they hold; the memory of all of it is the caller's arena. */
void rt_unload(void)
{
    if (interpreter)
        interpreter->~Interpreter();
    interpreter = nullptr;
}

uint32_t rt_arena_used(void)
{
    return interpreter ? static_cast<uint32_t>(interpreter->arena_used_bytes()) : 0;
}

uint32_t rt_input_count(void)
{
    return interpreter ? static_cast<uint32_t>(interpreter->inputs_size()) : 0;
}

uint32_t rt_output_count(void)
{
    return interpreter ? static_cast<uint32_t>(interpreter->outputs_size()) : 0;
}

rt_tensor rt_input(uint32_t index)
{
    return bytes_of(index < rt_input_count() ? interpreter->input(index) : nullptr);
}

rt_tensor rt_output(uint32_t index)
{
    return bytes_of(index < rt_output_count() ? interpreter->output(index) : nullptr);
}

/* Variable tensors, resources, and what kernels keep. Always: the library does not tell whether a model has any of
 * them. */
int rt_reset(rt_error *error)
{
    return guarded(reset, error);
}

int rt_invoke(rt_error *error)
{
    return guarded(invoke, error);
}
}

/* Its interpreter runs a model as one. */
uint32_t rt_node_count(void)
{
    return 0;
}

int rt_invoke_marked(rt_mark mark, int dry, rt_error *error)
{
    (void)mark;
    (void)dry;
    error->text = "TFLite Micro does not tell the nodes of a model apart";
    return RT_RUN_FAILED;
}
