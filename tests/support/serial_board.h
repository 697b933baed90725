/* A board of the tests: the real protocol code of devices/cortex_m/protocol over a model that is only arithmetic.
 *
 * A model is any bytes; it has one input and one output of 8 bytes, and output = input xor the model's first 8 bytes.
 * What its first byte says: 'B' bad model (node 7), 'F' faults when it runs, 'H' hangs when it runs. All else is a good
 * model. total_ticks of RUN is the number of RUNs executed since the start, so that one that is executed twice shows.
 */
#ifndef TESTS_SERIAL_BOARD_H
#define TESTS_SERIAL_BOARD_H

#include "protocol.h"

#define AREA_BYTES (256 << 10)
#define TENSOR_BYTES 8

typedef struct {
    uint32_t received, bytes, committed;
    uint8_t promised[32], hash[32];
    uint8_t memory[AREA_BYTES];
} area;

typedef struct {
    sp_session session;
    sp_facts facts;
    sp_config config;
    area model, samples;
    uint8_t inputs[TENSOR_BYTES], outputs[TENSOR_BYTES];
    uint32_t runs, broken_rules, answers;
    uint32_t resetting, hanging;
    void (*send)(void *context, const uint8_t *bytes, uint32_t count);
    void *context;
} board;

void board_start(board *b, uint8_t reason, sp_send send, void *context);
/* Takes bytes from the line. A board that hangs takes them and does nothing. */
void board_feed(board *b, const uint8_t *bytes, uint32_t count);
/* Everything but facts and line is lost. Announces the new start where `announce`. */
void board_reboot(board *b, uint8_t reason, int announce);

#endif
