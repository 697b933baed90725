/* The requests of serial_board.h, and functions for ctypes at the end. */
#include "serial_board.h"

#include <stdlib.h>
#include <string.h>

static area *area_of(board *b, uint8_t target)
{
    return target == SP_MODEL ? &b->model : target == SP_SAMPLES ? &b->samples : NULL;
}

static int refuse(sp_answer *answer, uint16_t code, uint16_t detail, const char *text)
{
    answer->error = code;
    answer->detail = detail;
    answer->text = text;
    return 0;
}

static int begin(board *b, const sp_request *r, sp_answer *answer)
{
    area *a = r->length == 40 ? area_of(b, r->payload[0]) : NULL;
    if (!a)
        return refuse(answer, SP_BAD_ARGUMENT, 0, "no such target");
    uint32_t bytes = sp_get32(r->payload + 4);
    answer->space[0] = a->committed && bytes == a->bytes && !memcmp(a->hash, r->payload + 8, 32);
    answer->length = 1;
    if (answer->space[0])
        return 1;
    a->committed = a->received = 0;
    a->bytes = 0;
    if (bytes > AREA_BYTES)
        return refuse(answer, SP_TOO_LARGE, 0, "larger than the memory for it");
    a->bytes = bytes;
    memcpy(a->promised, r->payload + 8, 32);
    return 1;
}

static int write_bytes(board *b, const sp_request *r, sp_answer *answer)
{
    if (r->length < 8)
        return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
    uint32_t offset = sp_get32(r->payload + 4), count = r->length - 8, received;
    if (r->payload[0] == SP_INPUTS) {
        if (!b->model.committed)
            return refuse(answer, SP_NO_MODEL, 0, NULL);
        if (offset > TENSOR_BYTES || count > TENSOR_BYTES - offset)
            return refuse(answer, SP_TOO_LARGE, 0, NULL);
        memcpy(b->inputs + offset, r->payload + 8, count);
        received = offset + count;
    } else {
        area *a = area_of(b, r->payload[0]);
        if (!a)
            return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
        if (r->repeated) {
            /* The rule that a repetition changes nothing. */
            int same = offset <= a->received && count <= a->received - offset &&
                       !memcmp(a->memory + offset, r->payload + 8, count);
            b->broken_rules += !same && a->bytes;
        } else {
            if (a->committed || offset != a->received)
                return refuse(answer, SP_OUT_OF_ORDER, 0, "not the next offset");
            if (count > a->bytes - offset)
                return refuse(answer, SP_TOO_LARGE, 0, NULL);
            memcpy(a->memory + offset, r->payload + 8, count);
            a->received += count;
        }
        received = a->received;
    }
    sp_put32(answer->space, received);
    answer->length = 4;
    return 1;
}

static int commit(board *b, const sp_request *r, sp_answer *answer)
{
    area *a = r->length == 4 ? area_of(b, r->payload[0]) : NULL;
    if (!a)
        return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
    if (a->received != a->bytes)
        return refuse(answer, SP_OUT_OF_ORDER, 0, "not all of it has come");
    sp_sha256 hash;
    sp_sha256_begin(&hash);
    sp_sha256_add(&hash, a->memory, a->bytes);
    sp_sha256_end(&hash, a->hash);
    if (memcmp(a->hash, a->promised, 32))
        return refuse(answer, SP_HASH, 0, "what came is not what was promised");
    if (a == &b->model && a->memory[0] == 'B')
        return refuse(answer, SP_BAD_MODEL, 7, "the padding is negative");
    a->committed = 1;
    if (a != &b->model)
        return 1;
    uint8_t *at = sp_put16(sp_put16(sp_put32(answer->space, 1234), 1), 1);
    at = sp_put32(sp_put32(sp_put64(at, 0x123456789AULL), TENSOR_BYTES), TENSOR_BYTES);
    answer->length = (uint32_t)(at - answer->space);
    return 1;
}

static uint32_t results_start(const board *b)
{
    return (b->samples.bytes + 7) & ~7u;
}

static int run(board *b, const sp_request *r, sp_answer *answer)
{
    static const sp_fault fault = {.kind = SP_FAULT_USAGE, .pc = 0x1234, .lr = 0x5678, .status = 0x10000, .address = 0};
    if (r->length != 16)
        return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
    if (!b->model.committed)
        return refuse(answer, SP_NO_MODEL, 0, NULL);
    uint32_t first = sp_get32(r->payload), count = sp_get32(r->payload + 4), flags = sp_get32(r->payload + 8);
    uint32_t samples = b->samples.committed ? b->samples.bytes / TENSOR_BYTES : 0, direct = flags & SP_RUN_DIRECT;
    if (direct ? count != 1 : first >= samples || (!(flags & SP_RUN_REPEAT) && count > samples - first)) {
        return refuse(answer, SP_BAD_ARGUMENT, 0, "there are not so many samples");
    }
    if (!direct && count > (AREA_BYTES - results_start(b)) / (8 + TENSOR_BYTES)) {
        return refuse(answer, SP_TOO_LARGE, 0, "the results do not fit");
    }
    b->runs++;
    if (b->model.memory[0] == 'H')
        b->hanging = 1;
    if (b->model.memory[0] == 'F') {
        sp_send_fault(&b->session, &fault);
        b->facts.last_fault = fault;
        b->resetting = 1 + SP_RESET_FAULT;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!direct)
            memcpy(b->inputs, b->samples.memory + TENSOR_BYTES * (flags & SP_RUN_REPEAT ? first : first + i),
                   TENSOR_BYTES);
        for (uint32_t k = 0; k < TENSOR_BYTES; k++)
            b->outputs[k] = b->inputs[k] ^ (k < b->model.bytes ? b->model.memory[k] : 0);
        if (!direct) {
            uint8_t *at = b->samples.memory + results_start(b) + i * (8 + TENSOR_BYTES);
            memcpy(sp_put64(at, i), b->outputs, TENSOR_BYTES);
        }
    }
    sp_put64(sp_put32(sp_put32(answer->space, count), 0), b->runs);
    answer->length = 16;
    return 1;
}

static int read_bytes(board *b, const sp_request *r, sp_answer *answer)
{
    if (r->length != 12)
        return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
    uint32_t offset = sp_get32(r->payload + 4), count = sp_get32(r->payload + 8);
    uint32_t start = results_start(b), limit = AREA_BYTES - start;
    const uint8_t *from = b->samples.memory + start;
    if (r->payload[0] == SP_OUTPUTS) {
        from = b->outputs;
        limit = TENSOR_BYTES;
    } else if (r->payload[0] != SP_RESULTS) {
        return refuse(answer, SP_BAD_ARGUMENT, 0, NULL);
    }
    if (offset > limit || count > limit - offset)
        return refuse(answer, SP_TOO_LARGE, 0, "there are not so many bytes");
    answer->data = from + offset;
    answer->length = count;
    return 1;
}

static void stats(board *b, sp_answer *answer)
{
    uint8_t *at = sp_put32(sp_put32(sp_put32(sp_put32(answer->space, 100), 2048), 1234), 65536);
    at = sp_put32(at, b->model.committed ? b->model.bytes : 0);
    at = sp_put32(sp_put32(sp_put32(at, b->session.frames_good), b->session.frames_bad), b->session.frames_repeated);
    memset(at, 0, 64);
    if (b->model.committed)
        memcpy(at, b->model.hash, 32);
    if (b->samples.committed)
        memcpy(at + 32, b->samples.hash, 32);
    answer->length = 96;
}

static void handle(void *context, const sp_request *r, sp_answer *answer)
{
    board *b = context;
    b->answers++;
    /* sp_request promises it. */
    if (((uintptr_t)r->payload & 7) || ((uintptr_t)answer->space & 7))
        b->broken_rules++;
    if (r->repeated && r->type != SP_WRITE && r->type != SP_READ && r->type != SP_STATS)
        b->broken_rules++;
    switch (r->type) {
    case SP_BEGIN:
        begin(b, r, answer);
        break;
    case SP_WRITE:
        write_bytes(b, r, answer);
        break;
    case SP_COMMIT:
        commit(b, r, answer);
        break;
    case SP_RUN:
        run(b, r, answer);
        break;
    case SP_READ:
        read_bytes(b, r, answer);
        break;
    case SP_STATS:
        stats(b, answer);
        break;
    case SP_RESET:
        b->resetting = 1 + SP_RESET_REQUEST;
        break;
    default:
        refuse(answer, SP_UNKNOWN_TYPE, 0, NULL);
        break;
    }
}

/* A chip that is resetting or hanging says nothing more, whatever the code above answers. */
static void guarded_send(void *context, const uint8_t *bytes, uint32_t count)
{
    board *b = context;
    if (!b->hanging && b->resetting != 1 + SP_RESET_FAULT)
        b->send(b->context, bytes, count);
}

void board_start(board *b, uint8_t reason, sp_send send, void *context)
{
    memset(b, 0, sizeof *b);
    b->facts = (sp_facts){
        .clock_hz = 25000000,
        .tick_hz = 25000000,
        .tick_unit = 1,
        .model_kind = 1,
        .plan_version = 1,
        .arena_bytes = 65536,
        .model_bytes = AREA_BYTES,
        .sample_bytes = AREA_BYTES,
        .code_bytes = 30000,
        .kernels = 1,
        .ops = 0x800000000000000FULL,
        .boots = 1,
        .reset_reason = reason,
        .board = "test-board",
        .core = "no-core",
        .runtime = "arithmetic 1",
        .firmware = "tests",
    };
    b->send = send;
    b->context = context;
    b->config = (sp_config){.facts = &b->facts, .handle = handle, .send = guarded_send, .context = b};
    sp_init(&b->session, &b->config);
}

void board_reboot(board *b, uint8_t reason, int announce)
{
    sp_facts facts = b->facts;
    uint32_t broken = b->broken_rules;
    board_start(b, reason, b->send, b->context);
    b->broken_rules = broken;
    b->facts.boots = facts.boots + 1;
    if (reason == SP_RESET_FAULT)
        b->facts.last_fault = facts.last_fault;
    if (announce)
        sp_announce_boot(&b->session);
}

void board_feed(board *b, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count && !b->hanging; i++) {
        sp_receive(&b->session, bytes + i, 1);
        if (b->resetting) {
            board_reboot(b, (uint8_t)(b->resetting - 1), 1);
            return; /* what lies in the receive buffer is gone */
        }
    }
}

/* ---- for ctypes ---------------------------------------------------------------------------------------------- */

typedef struct {
    board b;
    uint8_t *line;
    size_t used, room;
} owned;

static void collect(void *context, const uint8_t *bytes, uint32_t count)
{
    owned *o = context;
    if (o->used + count > o->room) {
        o->room = 2 * (o->used + count);
        o->line = realloc(o->line, o->room);
        if (!o->line)
            abort();
    }
    memcpy(o->line + o->used, bytes, count);
    o->used += count;
}

owned *board_new(void)
{
    owned *o = calloc(1, sizeof *o);
    if (o)
        board_start(&o->b, SP_RESET_POWER, collect, o);
    return o;
}
void board_free(owned *o)
{
    free(o->line);
    free(o);
}
void board_take_bytes(owned *o, const uint8_t *bytes, uint32_t count)
{
    board_feed(&o->b, bytes, count);
}
void board_power_cycle(owned *o, int announce)
{
    board_reboot(&o->b, SP_RESET_POWER, announce);
}
uint32_t board_pending(const owned *o)
{
    return (uint32_t)o->used;
}
void board_drain(owned *o, uint8_t *into)
{
    if (o->used)
        memcpy(into, o->line, o->used);
    o->used = 0;
}
void board_count_from(owned *o, uint32_t sequence)
{
    o->b.session.expected = (uint16_t)sequence;
    o->b.session.last_acting = (uint16_t)(sequence - 0x7FF0); /* soon too far back to be told from one ahead */
}
uint32_t board_runs(const owned *o)
{
    return o->b.runs;
}
uint32_t board_broken_rules(const owned *o)
{
    return o->b.broken_rules;
}
uint32_t board_answers(const owned *o)
{
    return o->b.answers;
}
