/* Bytes that the host sends in pieces and that count only as a whole: the model, and the samples. */
#ifndef FIRMWARE_TRANSFER_H
#define FIRMWARE_TRANSFER_H

#include "../protocol/protocol.h"

enum transfer_state { TRANSFER_NONE = 0, TRANSFER_OPEN = 1, TRANSFER_COMMITTED = 2 };

typedef struct {
    uint8_t state;  /* enum transfer_state */
    uint32_t bytes; /* announced */
    uint32_t received;
    uint8_t expected[32]; /* SHA-256; only while open or committed */
    sp_sha256 hash;       /* of what was read back from the memory */
} transfer;

/* One place that bytes go to. */
typedef struct {
    const uint8_t *memory;
    uint32_t capacity;
    int (*erase)(uint32_t bytes);
    int (*write)(uint32_t offset, const uint8_t *data, uint32_t count);
} transfer_place;

/* Whether exactly this is committed already. */
int transfer_has(const transfer *t, uint32_t bytes, const uint8_t sha256[32]);

/* Looks for exactly this in the memory; 1: it is there as if it had just been written, and may be committed. */
int transfer_find(transfer *t, const transfer_place *place, uint32_t bytes, const uint8_t sha256[32]);

/* Each returns SP_OK or an error of the protocol, with its text. */
uint16_t transfer_begin(transfer *t, const transfer_place *place, uint32_t bytes, const uint8_t sha256[32],
                        const char **text);
uint16_t transfer_write(transfer *t, const transfer_place *place, uint32_t offset, const uint8_t *data, uint32_t count,
                        const char **text);
/* Checks the whole; afterwards it is committed, or nothing is there. */
uint16_t transfer_commit(transfer *t, const char **text);

#endif
