#include "model.h"

#include <string.h>

#include "firmware.h"
#include "footprint.h"

#define MODEL_ROW_LIMIT 0x40000000u
#define NO_NODE 0xFFFFu /* the detail of an error that is not about one node */

static int loaded;
static uint64_t load_ticks;
#if FW_FAST_ARENA
static int in_fast_arena;
#endif

typedef uint32_t (*tensor_count)(void);
typedef rt_tensor (*tensor_at)(uint32_t index);

/* Outputs may share memory, so that their sum is bounded by no memory: in 64 bits. */
static uint64_t row_bytes(tensor_count count, tensor_at at)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count(); i++)
        bytes += at(i).bytes;
    return bytes;
}

/* Copies between `flat` and the part [offset, offset + count) of the tensors' bytes. */
static void copy_row(tensor_count tensors, tensor_at at, uint32_t offset, uint8_t *to, const uint8_t *from,
                     uint32_t count)
{
    for (uint32_t i = 0; i < tensors() && count != 0; i++) {
        const rt_tensor tensor = at(i);
        if (offset >= tensor.bytes) {
            offset -= tensor.bytes;
            continue;
        }
        const uint32_t part = count < tensor.bytes - offset ? count : tensor.bytes - offset;
        if (to) {
            memcpy(to, tensor.data + offset, part);
            to += part;
        } else {
            memcpy(tensor.data + offset, from, part);
            from += part;
        }
        offset = 0;
        count -= part;
    }
}

/* Sizes of rows and of the records made of them have to fit in 32 bits. */
static int rows_fit(void)
{
    return row_bytes(rt_input_count, rt_input) <= MODEL_ROW_LIMIT &&
           row_bytes(rt_output_count, rt_output) <= MODEL_ROW_LIMIT;
}

rt_tensor model_arena(void)
{
    rt_tensor arena = {firmware_facts->arena, firmware_facts->arena_bytes};
#if FW_FAST_ARENA
    if (loaded && in_fast_arena) {
        arena.data = firmware_facts->fast_arena;
        arena.bytes = firmware_facts->fast_arena_bytes;
    }
#endif
    return arena;
}

/* The fast memory first: whatever is wrong with the model there is told of the other one, too. */
static int load_anywhere(uint32_t model_bytes, rt_error *error)
{
    const port_facts *const f = firmware_facts;
#if FW_FAST_ARENA
    in_fast_arena = rt_load(f->model, model_bytes, f->fast_arena, f->fast_arena_bytes, error) == RT_OK;
    if (in_fast_arena)
        return RT_OK;
#endif
    return rt_load(f->model, model_bytes, f->arena, f->arena_bytes, error);
}

uint16_t model_load(uint32_t model_bytes, sp_answer *answer)
{
    rt_error error = {0};
    /* The stack's peak is this model's own: of its loading and its inferences. What painting would hide is looked for
     * first. */
    stack_check();
    stack_paint();
    const uint64_t start = port_ticks();
    int code = load_anywhere(model_bytes, &error);
    load_ticks = port_ticks() - start;
    if (code == RT_OK && !rows_fit()) {
        rt_unload();
        code = RT_TOO_LARGE;
        error.detail = NO_NODE;
        error.text = "the model's inputs or its outputs are over 1 GiB together";
    }
    loaded = code == RT_OK;
    if (!loaded)
        answer_error(answer, (uint16_t)code, error.detail, error.text);
    return (uint16_t)code;
}

void model_unload(void)
{
    if (loaded)
        rt_unload();
    loaded = 0;
}

int model_loaded(void)
{
    return loaded;
}

int model_tell(sp_answer *answer)
{
    const uint32_t inputs = rt_input_count(), outputs = rt_output_count();
    if (inputs + outputs > (SP_ANSWER_BYTES - 16u) / 4u)
        return 0;
    uint8_t *at = sp_put32(answer->space, rt_arena_used());
    at = sp_put16(at, inputs);
    at = sp_put16(at, outputs);
    at = sp_put64(at, load_ticks);
    for (uint32_t i = 0; i < inputs; i++)
        at = sp_put32(at, rt_input(i).bytes);
    for (uint32_t i = 0; i < outputs; i++)
        at = sp_put32(at, rt_output(i).bytes);
    answer->length = (uint32_t)(at - answer->space);
    return 1;
}

uint32_t model_input_bytes(void)
{
    return (uint32_t)row_bytes(rt_input_count, rt_input);
}

uint32_t model_output_bytes(void)
{
    return (uint32_t)row_bytes(rt_output_count, rt_output);
}

void model_set_inputs(uint32_t offset, const uint8_t *data, uint32_t count)
{
    copy_row(rt_input_count, rt_input, offset, NULL, data, count);
}

void model_get_outputs(uint32_t offset, uint8_t *data, uint32_t count)
{
    copy_row(rt_output_count, rt_output, offset, data, NULL, count);
}

/* Not inlined: what surrounds the call, and so the count, is the same wherever an inference comes from. */
__attribute__((noinline)) static int timed_invoke(uint64_t *ticks, rt_error *error)
{
    const uint64_t start = port_ticks();
    const int code = rt_invoke(error);
    *ticks = port_ticks() - start;
    return code;
}

uint16_t model_run(int carry, watch_deadline deadline, uint64_t *ticks, sp_answer *answer)
{
    rt_error error = {0};
    *ticks = 0;
    watch_begin(deadline);
    port_quiet(1);
    int code = carry ? RT_OK : rt_reset(&error);
    test_hang();
    if (code == RT_OK)
        code = timed_invoke(ticks, &error);
    port_quiet(0);
    *ticks -= watch_end();
    if (code != RT_OK)
        answer_error(answer, (uint16_t)code, error.detail, error.text);
    return (uint16_t)code;
}
