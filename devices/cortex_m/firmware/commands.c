/* The requests of docs/internals/serial-protocol.md. Every length, offset and count comes from the line and is checked
 * here, once. */
#include <string.h>

#include "faults.h"
#include "firmware.h"
#include "footprint.h"
#include "model.h"
#include "profile.h"
#include "run.h"
#include "transfer.h"
#include "../runtime/runtime.h"

static transfer model_transfer, sample_transfer;
static int reset_wanted;

int commands_reset_wanted(void)
{
    return reset_wanted;
}

void answer_error(sp_answer *answer, uint16_t code, uint16_t detail, const char *text)
{
    answer->error = code;
    answer->detail = detail;
    answer->text = text;
}

static int write_samples(uint32_t offset, const uint8_t *data, uint32_t count)
{
    memcpy(firmware_facts->samples + offset, data, count);
    return 1;
}

static int erase_samples(uint32_t bytes)
{
    (void)bytes;
    return 1;
}

/* The place and the transfer of a target; NULL for targets that are no transfers. */
static transfer *find_transfer(uint8_t target, transfer_place *place)
{
    const port_facts *facts = firmware_facts;
    const transfer_place model = {facts->model, facts->model_bytes, port_store_erase, port_store_write};
    const transfer_place samples = {facts->samples, facts->sample_bytes, erase_samples, write_samples};
    *place = target == SP_MODEL ? model : samples;
    return target == SP_MODEL ? &model_transfer : target == SP_SAMPLES ? &sample_transfer : NULL;
}

static void begin(const sp_request *request, sp_answer *answer)
{
    transfer_place place;
    transfer *t = find_transfer(request->payload[0], &place);
    const uint32_t bytes = sp_get32(request->payload + 4);
    const uint8_t *sha256 = request->payload + 8;
    if (!t) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "BEGIN: only the model and the samples are transfers");
        return;
    }
    answer->length = 1;
    answer->space[0] = (uint8_t)transfer_has(t, bytes, sha256);
    if (answer->space[0])
        return;
    if (t == &model_transfer)
        model_unload();
    run_forget();
#if FW_STORE_KEEPS
    answer->space[0] = t == &model_transfer && (uint8_t)transfer_find(t, &place, bytes, sha256);
    if (answer->space[0])
        return;
#endif
    answer->error = transfer_begin(t, &place, bytes, sha256, &answer->text);
}

static void write_inputs(const sp_request *request, sp_answer *answer, uint32_t offset, uint32_t count)
{
    if (!model_loaded()) {
        answer_error(answer, SP_NO_MODEL, 0, "WRITE of inputs: no model is loaded");
        return;
    }
    const uint32_t bytes = model_input_bytes();
    if (offset > bytes || count > bytes - offset) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "WRITE past the end of the model's inputs");
        return;
    }
    /* A repetition may come after the inference, whose outputs can lie where the inputs were. */
    if (!request->repeated)
        model_set_inputs(offset, request->payload + 8, count);
    sp_put32(answer->space, offset + count);
}

static void write(const sp_request *request, sp_answer *answer)
{
    const uint8_t target = request->payload[0];
    const uint32_t offset = sp_get32(request->payload + 4), count = request->length - 8;
    transfer_place place;
    transfer *t = find_transfer(target, &place);
    answer->length = 4;
    if (target == SP_INPUTS) {
        write_inputs(request, answer, offset, count);
        return;
    }
    if (!t) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "WRITE: no such target");
        return;
    }
    if (!request->repeated)
        answer->error = transfer_write(t, &place, offset, request->payload + 8, count, &answer->text);
    sp_put32(answer->space, t->received);
}

static void commit(const sp_request *request, sp_answer *answer)
{
    transfer_place place;
    transfer *t = find_transfer(request->payload[0], &place);
    if (!t) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "COMMIT: only the model and the samples are transfers");
        return;
    }
    if (t->state != TRANSFER_COMMITTED) {
        answer->error = transfer_commit(t, &answer->text);
        if (answer->error != SP_OK)
            return;
        if (t == &model_transfer && model_load(t->bytes, answer) != SP_OK) {
            t->state = TRANSFER_NONE;
            return;
        }
    }
    if (t == &model_transfer && !model_tell(answer)) {
        model_unload();
        t->state = TRANSFER_NONE;
        answer_error(answer, SP_BAD_MODEL, 0, "the model has more inputs and outputs than an answer can name");
    }
}

static void run(const sp_request *request, sp_answer *answer)
{
    const run_request wanted = {.first = sp_get32(request->payload),
                                .count = sp_get32(request->payload + 4),
                                .flags = sp_get32(request->payload + 8),
                                .deadline_ms = sp_get32(request->payload + 12)};
    const uint32_t committed = sample_transfer.state == TRANSFER_COMMITTED ? sample_transfer.bytes : 0;
    const run_done done = run_inferences(&wanted, committed, answer);
    uint8_t *at = sp_put32(answer->space, done.count);
    at = sp_put32(at, 0);
    at = sp_put64(at, done.ticks);
    answer->length = (uint32_t)(at - answer->space);
}

#if RT_LAYERS
static void profile(const sp_request *request, sp_answer *answer)
{
    const profile_request wanted = {.sample = sp_get32(request->payload),
                                    .node = sp_get32(request->payload + 4),
                                    .flags = sp_get32(request->payload + 8),
                                    .deadline_ms = sp_get32(request->payload + 12)};
    profile_nodes(&wanted, sample_transfer.state == TRANSFER_COMMITTED ? sample_transfer.bytes : 0, answer);
}
#endif

static void read(const sp_request *request, sp_answer *answer)
{
    static uint8_t outputs[SP_MAX_PAYLOAD];
    const uint8_t target = request->payload[0];
    const uint32_t offset = sp_get32(request->payload + 4), count = sp_get32(request->payload + 8);
    const uint32_t bytes = target == SP_RESULTS                     ? run_results_bytes()
                           : target == SP_OUTPUTS && model_loaded() ? model_output_bytes()
                                                                    : 0;
    if (target != SP_RESULTS && target != SP_OUTPUTS) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "READ: only outputs and results can be read");
    } else if (target == SP_OUTPUTS && !model_loaded()) {
        answer_error(answer, SP_NO_MODEL, 0, "READ of outputs: no model is loaded");
    } else if (count > SP_MAX_PAYLOAD || offset > bytes || count > bytes - offset) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "READ past the end, or more than one frame holds");
    } else {
        if (target == SP_OUTPUTS)
            model_get_outputs(offset, outputs, count);
        answer->data = target == SP_OUTPUTS ? outputs : run_results() + offset;
        answer->length = count;
    }
}

static uint8_t *put_digest(uint8_t *at, const transfer *t)
{
    if (t->state == TRANSFER_COMMITTED)
        memcpy(at, t->expected, sizeof t->expected);
    else
        memset(at, 0, sizeof t->expected);
    return at + sizeof t->expected;
}

static void stats(sp_answer *answer)
{
    uint8_t *at = sp_put32(answer->space, stack_peak_bytes());
    at = sp_put32(at, stack_bytes());
    at = sp_put32(at, model_loaded() ? rt_arena_used() : 0);
    at = sp_put32(at, model_arena().bytes);
    at = sp_put32(at, model_loaded() ? model_transfer.bytes : 0);
    at = sp_put32(at, firmware_session.frames_good);
    at = sp_put32(at, firmware_session.frames_bad);
    at = sp_put32(at, firmware_session.frames_repeated);
    at = put_digest(at, &model_transfer);
    at = put_digest(at, &sample_transfer);
    answer->length = (uint32_t)(at - answer->space);
}

/* Payload bytes that a request has: exactly, or for WRITE at least. -1: no such request. */
static int32_t payload_bytes(uint8_t type)
{
    switch (type) {
    case SP_BEGIN:
        return 40;
    case SP_WRITE:
        return 8;
    case SP_COMMIT:
        return 4;
    case SP_RUN:
#if RT_LAYERS
    case SP_PROFILE:
#endif
        return 16;
    case SP_READ:
        return 12;
    case SP_STATS:
        return 0;
    case SP_RESET:
        return 0;
#ifdef FW_TEST_FAULTS
    case TEST_FAULT_TYPE:
        return 4;
#endif
    default:
        return -1;
    }
}

void commands_handle(void *context, const sp_request *request, sp_answer *answer)
{
    (void)context;
    const int32_t bytes = payload_bytes(request->type);
    if (bytes < 0) {
        answer_error(answer, SP_UNKNOWN_TYPE, request->type, "this firmware does not know the request");
        return;
    }
    if (request->type == SP_WRITE ? request->length < (uint32_t)bytes : request->length != (uint32_t)bytes) {
        answer_error(answer, SP_BAD_ARGUMENT, request->type, "the request has a payload of another length");
        return;
    }
    switch (request->type) {
    case SP_BEGIN:
        begin(request, answer);
        break;
    case SP_WRITE:
        write(request, answer);
        break;
    case SP_COMMIT:
        commit(request, answer);
        break;
    case SP_RUN:
        run(request, answer);
        break;
#if RT_LAYERS
    case SP_PROFILE:
        profile(request, answer);
        break;
#endif
    case SP_READ:
        read(request, answer);
        break;
    case SP_STATS:
        stats(answer);
        break;
    case SP_RESET:
        reset_wanted = 1;
        break;
#ifdef FW_TEST_FAULTS
    case TEST_FAULT_TYPE:
        test_fault(request, answer);
        break;
#endif
    }
}
