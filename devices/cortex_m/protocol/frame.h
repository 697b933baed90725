/* Frames on the line: between session.c and frame.c only. */
#ifndef CORTEX_M_PROTOCOL_FRAME_H
#define CORTEX_M_PROTOCOL_FRAME_H

#include "protocol.h"

enum sp_found { SP_NOTHING, SP_GOOD_FRAME, SP_BAD_FRAME };

/* Takes one byte from the line. SP_GOOD_FRAME: s->frame holds a frame whose length and CRC are right; it stays until
 * the next call. */
enum sp_found sp_frame_byte(sp_session *s, uint8_t byte);

/* Sends one frame, encoded while it goes out. */
void sp_frame_send(sp_session *s, uint8_t type, uint16_t session, uint16_t sequence, const uint8_t *payload,
                   uint32_t length);

#endif
