/* Mutated conversations against the board's end, to be built with AddressSanitizer and UBSan: serial_fuzz SEED ROUNDS.
 *
 * Valid conversations are made with the encoder under test, then bytes are flipped, dropped, doubled, inserted, spans
 * swapped, the board restarted; given in pieces of any size. Prints what was reached, so that the test can see that the
 * fuzzer gets behind the CRC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "serial_board.h"

static uint64_t state;
static uint32_t any(uint32_t below)
{ /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ULL) >> 33) % below;
}

#define LINE_BYTES (64 << 10)
static uint8_t line[LINE_BYTES];
static uint32_t used;
static uint64_t sent;

static void onto_line(void *context, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    if (count > LINE_BYTES - used)
        count = LINE_BYTES - used;
    memcpy(line + used, bytes, count);
    used += count;
}
static void count_sent(void *context, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        sent += bytes[i] == 0;
}

static void say(sp_session *encoder, uint16_t session, uint16_t *sequence)
{
    static const uint8_t types[] = {SP_BEGIN, SP_WRITE, SP_WRITE, SP_WRITE, SP_COMMIT, SP_RUN, SP_READ,
                                    SP_STATS, SP_RESET, 0,        0x40,     SP_NAK,    0x83};
    uint8_t payload[SP_MAX_PAYLOAD], type = any(40) ? types[any(sizeof types)] : (uint8_t)any(256);
    uint32_t length = 0;
    memset(payload, 0, sizeof payload);
    payload[0] = (uint8_t)(1 + any(any(8) ? 2 : 7));
    switch (type) {
    case SP_BEGIN:
        length = 40;
        sp_put32(payload + 4, any(4) ? any(3000) : any(1u << 31));
        break;
    case SP_WRITE:
        length = 8 + any(any(3) ? 64 : SP_MAX_PAYLOAD - 7);
        sp_put32(payload + 4, any(3000));
        break;
    case SP_COMMIT:
        length = 4;
        break;
    case SP_RUN:
        length = 16;
        sp_put32(payload + 4, any(9));
        payload[8] = (uint8_t)any(4);
        break;
    case SP_READ:
        length = 12;
        payload[0] = (uint8_t)(4 + any(2));
        sp_put32(payload + 4, any(30));
        sp_put32(payload + 8, any(2000));
        break;
    default:
        length = any(30);
        break;
    }
    if (any(30) == 0)
        length = any(SP_MAX_PAYLOAD + 1);
    for (uint32_t i = 12; i < length; i++)
        payload[i] = (uint8_t)(any(3) ? any(256) : 0);
    sp_frame_send(encoder, type, session, any(20) ? *sequence : (uint16_t)(*sequence + any(9) - 4), payload, length);
    if (any(15))
        ++*sequence;
}

static void damage(void)
{
    for (uint32_t n = any(4) ? any(4) : 0; n && used > 300; n--) {
        uint32_t at = any(used - 256), span = 1 + any(any(2) ? 4 : 255);
        switch (any(6)) {
        case 0:
            line[at] ^= (uint8_t)(1u << any(8));
            break;
        case 1:
            line[at] = 0;
            break;
        case 2:
            memmove(line + at, line + at + span, used - at - span);
            used -= span;
            break;
        case 3:
            if (used + span < LINE_BYTES) {
                memmove(line + at + span, line + at, used - at);
                used += span;
            }
            break;
        case 4:
            for (uint32_t i = 0; i < span; i++)
                line[at + i] = (uint8_t)any(256);
            break;
        default:
            for (uint32_t i = 0; i < span; i++)
                line[at + i] = (uint8_t)(1 + any(255));
            break;
        }
    }
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    state = strtoull(words[1], NULL, 0) * 2654435769u + 1;
    board *b = malloc(sizeof *b); /* on the heap: the sanitizer guards its ends */
    sp_session *encoder = malloc(sizeof *encoder);
    if (!b || !encoder)
        return 2;
    sp_config config = {.send = onto_line};
    sp_init(encoder, &config);
    board_start(b, SP_RESET_POWER, count_sent, NULL);
    uint64_t good = 0, bad = 0, answers = 0, repeated = 0, largest = 0;
    for (long round = 0, rounds = strtol(words[2], NULL, 0); round < rounds; round++) {
        uint16_t session = (uint16_t)(1 + any(0xFFFF)), sequence = 1;
        uint8_t hello[4];
        used = 0;
        sp_put16(sp_put16(hello, any(30) ? SP_VERSION : any(5)), session);
        sp_frame_send(encoder, SP_HELLO, 0, 0, hello, any(30) ? 4 : any(5));
        for (uint32_t n = any(30); n; n--)
            say(encoder, session, &sequence);
        damage();
        for (uint32_t at = 0; at < used;) {
            uint32_t part = 1 + any(any(2) ? 7 : 900);
            if (part > used - at)
                part = used - at;
            uint8_t *exact = malloc(part); /* so that reading one byte too far is seen */
            if (!exact)
                return 2;
            memcpy(exact, line + at, part);
            sp_receive(&b->session, exact, part);
            free(exact);
            at += part;
            if (b->session.count > largest)
                largest = b->session.count;
            if (b->session.count > SP_FRAME_BYTES || b->session.left > 254)
                return 3;
        }
        good += b->session.frames_good, bad += b->session.frames_bad, repeated += b->session.frames_repeated,
            answers += b->answers;
        b->session.frames_good = b->session.frames_bad = b->session.frames_repeated = b->answers = 0;
        b->hanging = b->resetting = 0;
        if (any(10) == 0)
            board_reboot(b, SP_RESET_POWER, (int)any(2));
    }
    printf("good %llu bad %llu repeated %llu answers %llu zeros %llu largest %llu\n", (unsigned long long)good,
           (unsigned long long)bad, (unsigned long long)repeated, (unsigned long long)answers, (unsigned long long)sent,
           (unsigned long long)largest);
    free(b);
    free(encoder);
    return 0;
}
