/* Which request is executed, answered again or refused: the rules of docs/internals/serial-protocol.md, "Sessions and
 * sequence numbers". */
#include <string.h>

#include "frame.h"

/* Repetitions of WRITE, READ and STATS are recognised up to this many numbers back; far more than any window. */
#define SP_MEMORY 0x4000

static int can_be_redone(uint8_t type)
{
    return type == SP_WRITE || type == SP_READ || type == SP_STATS;
}

static void send_error(sp_session *s, uint16_t session, uint16_t sequence, uint16_t code, uint16_t detail)
{
    uint8_t payload[4];
    sp_put16(sp_put16(payload, code), detail);
    sp_frame_send(s, SP_ERROR, session, sequence, payload, sizeof payload);
}

static void send_nak(sp_session *s, uint16_t sequence)
{
    uint8_t payload[2];
    sp_put16(payload, s->expected);
    s->gap = 1;
    s->last_early = sequence;
    sp_frame_send(s, SP_NAK, s->session, sequence, payload, sizeof payload);
}

/* Copies text up to `limit` bytes; returns their count. (strlen of the C library alone is 220 bytes of code.) */
static size_t put_text(uint8_t *at, const char *text, size_t limit)
{
    size_t count = 0;
    for (; count < limit && text[count]; ++count)
        at[count] = (uint8_t)text[count];
    return count;
}

static uint8_t *put_string(uint8_t *at, const char *text)
{
    const size_t count = put_text(at + 1, text, SP_STRING_BYTES);
    *at = (uint8_t)count;
    return at + 1 + count;
}

static uint8_t *put_fault(uint8_t *at, const sp_fault *fault)
{
    at = sp_put32(sp_put32(at, fault->kind), fault->pc);
    return sp_put32(sp_put32(sp_put32(at, fault->lr), fault->status), fault->address);
}

static void hello(sp_session *s, const uint8_t *payload, uint32_t length)
{
    uint16_t session = length == 4 ? sp_get16(payload + 2) : 0;
    if (length >= 2 && sp_get16(payload) != SP_VERSION) {
        send_error(s, 0, 0, SP_BAD_VERSION, SP_VERSION);
        return;
    }
    if (session == 0) {
        send_error(s, 0, 0, SP_BAD_ARGUMENT, 0);
        return;
    }
    /* A copy of the HELLO that opened this session, when requests have been executed since: it must not start the count
     * again. */
    if (session == s->session && s->expected != 1)
        return;
    s->session = session;
    s->expected = 1;
    s->last_acting = 0;
    s->kept_type = 0;
    s->gap = 0;

    const sp_facts *f = s->config.facts;
    _Static_assert(76 + 4 * (SP_STRING_BYTES + 1) + 8 <= SP_ANSWER_BYTES, "HELLO lies in the answer");
    uint8_t *at = sp_put16(sp_put16(s->kept, SP_VERSION), session);
    at = sp_put16(sp_put16(at, SP_MAX_PAYLOAD), SP_WINDOW);
    at = sp_put32(sp_put32(at, f->clock_hz), f->tick_hz);
    *at++ = f->tick_unit;
    *at++ = f->model_kind;
    at = sp_put32(sp_put32(sp_put16(at, f->plan_version), f->arena_bytes), f->model_bytes);
    at = sp_put32(sp_put32(sp_put32(at, f->sample_bytes), f->code_bytes), f->kernels);
    at = sp_put32(sp_put64(at, f->ops), f->boots);
    at = put_fault(sp_put32(at, f->reset_reason | (uint32_t)f->features << 8), &f->last_fault);
    at = put_string(put_string(put_string(put_string(at, f->board), f->core), f->runtime), f->firmware);
#if SP_LATE_OPS
    at = sp_put64(at, f->late_ops);
#endif
    sp_frame_send(s, SP_HELLO + SP_ANSWER, 0, 0, s->kept, (uint32_t)(at - s->kept));
}

/* Turns the handler's error into the answer that is kept. */
static void keep_error(sp_session *s, const sp_answer *answer)
{
    uint8_t *at = sp_put16(sp_put16(s->kept, answer->error), answer->detail);
    const size_t count = answer->text ? put_text(at, answer->text, 120) : 0;
    s->kept_type = SP_ERROR;
    s->kept_length = (uint16_t)(4 + count);
}

static void execute(sp_session *s, uint16_t sequence, const sp_request *request)
{
    sp_answer answer = {.space = s->kept, .data = s->kept};
    s->config.handle(s->config.context, request, &answer);
    int is_read = request->type == SP_READ;
    if (answer.error == SP_OK &&
        answer.length > (is_read && answer.data != s->kept ? SP_MAX_PAYLOAD : SP_ANSWER_BYTES)) {
        answer.error = SP_TOO_LARGE;
        answer.text = "the answer does not fit into a frame";
    }
    const uint8_t *data = s->kept;
    if (answer.error != SP_OK) {
        keep_error(s, &answer);
    } else {
        s->kept_type = (uint8_t)(request->type + SP_ANSWER);
        s->kept_length = (uint16_t)answer.length;
        if (is_read) {
            data = answer.data;
        } else if (answer.data != s->kept) {
            for (uint32_t i = 0; i < answer.length; ++i) /* never in front of where it lies: it may overlap */
                s->kept[i] = answer.data[i];
        }
    }
    sp_frame_send(s, s->kept_type, s->session, sequence, data, s->kept_length);
}

static void take_frame(sp_session *s)
{
    sp_request request = {.type = s->frame[0], .payload = s->frame + SP_HEADER_BYTES, .length = sp_get16(s->frame + 6)};
    uint16_t session = sp_get16(s->frame + 2), sequence = sp_get16(s->frame + 4);
    s->frames_good++;
    if (request.type == SP_HELLO) {
        hello(s, request.payload, request.length);
        return;
    }
    if (request.type >= SP_WORKING)
        return; /* a board's own words: the line echoes */
    if (s->session == 0 || session != s->session) {
        send_error(s, session, sequence, SP_BAD_SESSION, 0);
        return;
    }
    int16_t ahead = (int16_t)(uint16_t)(sequence - s->expected);
    if (ahead > 0) {
        /* Once for each time that the host goes through its window: a number that does not grow means that it has begun
         * again. */
        if (!s->gap || (int16_t)(uint16_t)(sequence - s->last_early) <= 0)
            send_nak(s, sequence);
        s->last_early = sequence;
        return;
    }
    if (ahead < 0) {
        s->frames_repeated++;
        /* What was read or written before the last request that acts must not be done again after it: it would see
         * another state. */
        if (can_be_redone(request.type) && (int16_t)(uint16_t)(sequence - s->last_acting) > 0) {
            request.repeated = 1;
            execute(s, sequence, &request);
        } else if (ahead == -1 && sequence == s->last_acting && s->kept_type && !can_be_redone(request.type)) {
            sp_frame_send(s, s->kept_type, s->session, sequence, s->kept, s->kept_length);
        }
        return;
    }
    s->expected++;
    s->gap = 0;
    if (!can_be_redone(request.type)) {
        s->last_acting = sequence;
    } else if ((uint16_t)(s->expected - s->last_acting) > SP_MEMORY) {
        s->last_acting =
            (uint16_t)(s->expected - SP_MEMORY); /* so that it does not seem to lie ahead once the numbers wrap */
    }
    execute(s, sequence, &request);
}

void sp_init(sp_session *s, const sp_config *config)
{
    memset(s, 0, sizeof *s);
    s->config = *config;
}

void sp_receive(sp_session *s, const uint8_t *bytes, uint32_t count)
{
    for (; count; count--) {
        switch (sp_frame_byte(s, *bytes++)) {
        case SP_GOOD_FRAME:
            take_frame(s);
            break;
        case SP_BAD_FRAME:
            s->frames_bad++;
            /* Most likely a request: asking for it at once is quicker than the host's patience. */
            if (s->session)
                send_nak(s, s->expected);
            break;
        default:
            break;
        }
    }
}

void sp_announce_boot(sp_session *s)
{
    send_error(s, 0, 0, SP_BAD_SESSION, 0);
}

void sp_send_fault(sp_session *s, const sp_fault *fault)
{
    uint8_t payload[20];
    put_fault(payload, fault);
    sp_frame_send(s, SP_FAULT, s->session, 0, payload, sizeof payload);
}

void sp_send_working(sp_session *s, uint32_t checks)
{
    uint8_t payload[4];
    sp_put32(payload, checks);
    sp_frame_send(s, SP_WORKING, s->session, 0, payload, sizeof payload);
}
