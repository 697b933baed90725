/* COBS (Cheshire and Baker, IEEE/ACM ToN 1999) both ways, byte by byte, and the check of what lies between two zero
 * bytes. */
#include "frame.h"

static enum sp_found frame_ended(sp_session *s)
{
    uint32_t count = s->count;
    enum sp_found found = SP_BAD_FRAME;
    if (s->block == 0) {
        found = SP_NOTHING; /* two zero bytes side by side */
    } else if (!s->broken && s->left == 0 && count >= SP_HEADER_BYTES + 4 && s->frame[1] == 0 &&
               count == (uint32_t)SP_HEADER_BYTES + 4 + sp_get16(s->frame + 6) &&
               sp_crc32(0, s->frame, count - 4) == sp_get32(s->frame + count - 4)) {
        found = SP_GOOD_FRAME;
    }
    s->block = s->left = s->broken = 0;
    s->count = 0;
    return found;
}

enum sp_found sp_frame_byte(sp_session *s, uint8_t byte)
{
    if (byte == 0)
        return frame_ended(s);
    uint8_t data = byte;
    if (s->left == 0) {
        /* A code byte: how far the next zero of the data is. The block before it ended in one, unless it was full or is
         * the first. */
        uint8_t before = s->block;
        s->block = byte;
        s->left = (uint8_t)(byte - 1);
        if (before == 0 || before == 255)
            return SP_NOTHING;
        data = 0;
    } else {
        s->left--;
    }
    if (s->count == SP_FRAME_BYTES) {
        s->broken = 1;
    } else {
        s->frame[s->count++] = data;
    }
    return SP_NOTHING;
}

static void flush(sp_session *s)
{
    s->out[0] = s->out_count;
    s->config.send(s->config.context, s->out, s->out_count);
    s->out_count = 1;
}

static void emit(sp_session *s, const uint8_t *bytes, uint32_t count)
{
    s->out_crc = sp_crc32(s->out_crc, bytes, count);
    for (; count; count--, bytes++) {
        if (*bytes)
            s->out[s->out_count++] = *bytes;
        if (*bytes == 0 || s->out_count == 255)
            flush(s);
    }
}

void sp_frame_send(sp_session *s, uint8_t type, uint16_t session, uint16_t sequence, const uint8_t *payload,
                   uint32_t length)
{
    static const uint8_t zero = 0;
    uint8_t head[SP_HEADER_BYTES] = {type, 0};
    sp_put16(sp_put16(sp_put16(head + 2, session), sequence), length);
    s->config.send(s->config.context, &zero, 1);
    s->out_count = 1;
    s->out_crc = 0;
    emit(s, head, sizeof head);
    emit(s, payload, length);
    sp_put32(head, s->out_crc);
    emit(s, head, 4);
    flush(s);
    s->config.send(s->config.context, &zero, 1);
}
