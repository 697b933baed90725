#include "run.h"

#include "firmware.h"
#include "footprint.h"
#include "model.h"

enum { RECORD_HEADER = 8, RESULTS_ALIGNMENT = 8 };

static uint8_t *results;
static uint32_t results_bytes;

const uint8_t *run_results(void)
{
    return results;
}

uint32_t run_results_bytes(void)
{
    return results_bytes;
}

void run_forget(void)
{
    results_bytes = 0;
}

static uint32_t record_bytes(void)
{
    return RECORD_HEADER + ((model_output_bytes() + 3u) & ~3u);
}

static int refuse(sp_answer *answer, uint16_t code, const char *text)
{
    answer_error(answer, code, 0, text);
    return 0;
}

/* Whether the samples are there and the records fit behind them. In 64 bits: a hostile count must not wrap. */
static int samples_suit(const run_request *request, uint32_t committed_bytes, sp_answer *answer)
{
    const uint64_t samples = (request->flags & SP_RUN_REPEAT) ? 1u : request->count;
    const uint64_t end = ((uint64_t)request->first + samples) * model_input_bytes();
    const uint64_t begin = ((uint64_t)committed_bytes + RESULTS_ALIGNMENT - 1u) & ~(uint64_t)(RESULTS_ALIGNMENT - 1u);
    if (committed_bytes == 0)
        return refuse(answer, SP_OUT_OF_ORDER, "RUN: no samples are committed");
    if (end > committed_bytes)
        return refuse(answer, SP_BAD_ARGUMENT, "RUN: there are fewer samples");
    if (begin + (uint64_t)request->count * record_bytes() > firmware_facts->sample_bytes)
        return refuse(answer, SP_TOO_LARGE, "RUN: the results do not fit behind the samples; run fewer at a time");
    results = firmware_facts->samples + begin;
    return 1;
}

static int may_run(const run_request *request, uint32_t committed_bytes, sp_answer *answer)
{
    if (!model_loaded())
        return refuse(answer, SP_NO_MODEL, "RUN: no model is loaded");
    if (request->flags & ~(uint32_t)(SP_RUN_REPEAT | SP_RUN_DIRECT | SP_RUN_CARRY | SP_RUN_WHILE_WORKING))
        return refuse(answer, SP_BAD_ARGUMENT, "RUN: unknown flags");
    if (request->count == 0)
        return refuse(answer, SP_BAD_ARGUMENT, "RUN: a count of 0");
    if (request->flags & SP_RUN_DIRECT)
        return request->count == 1 || refuse(answer, SP_BAD_ARGUMENT, "RUN: a direct run is of one inference");
    return samples_suit(request, committed_bytes, answer);
}

run_done run_inferences(const run_request *request, uint32_t committed_bytes, sp_answer *answer)
{
    run_done done = {0, 0};
    results_bytes = 0;
    if (!may_run(request, committed_bytes, answer))
        return done;
    const int direct = (request->flags & SP_RUN_DIRECT) != 0, carry = (request->flags & SP_RUN_CARRY) != 0;
    const watch_deadline deadline = {request->deadline_ms, (request->flags & SP_RUN_WHILE_WORKING) != 0};
    const uint32_t inputs = model_input_bytes(), outputs = model_output_bytes(), record = record_bytes();
    for (uint32_t i = 0; i < request->count; i++) {
        const uint32_t sample = (request->flags & SP_RUN_REPEAT) ? request->first : request->first + i;
        uint64_t ticks;
        if (!direct)
            model_set_inputs(0, firmware_facts->samples + sample * inputs, inputs);
        if (model_run(carry, deadline, &ticks, answer) != SP_OK)
            return done;
        stack_check();
        if (!direct) {
            uint8_t *at = results + results_bytes;
            sp_put32(at + record - 4, 0); /* the padding */
            model_get_outputs(0, sp_put64(at, ticks), outputs);
            results_bytes += record;
        }
        done.count++;
        done.ticks += ticks;
    }
    return done;
}
