#include "transfer.h"

#include <string.h>

#include "port.h"

int transfer_has(const transfer *t, uint32_t bytes, const uint8_t sha256[32])
{
    return t->state == TRANSFER_COMMITTED && t->bytes == bytes && memcmp(t->expected, sha256, sizeof t->expected) == 0;
}

#if FW_STORE_KEEPS
int transfer_find(transfer *t, const transfer_place *place, uint32_t bytes, const uint8_t sha256[32])
{
    uint8_t digest[32];
    t->state = TRANSFER_NONE;
    if (bytes == 0 || bytes > place->capacity)
        return 0;
    sp_sha256_begin(&t->hash);
    sp_sha256_add(&t->hash, place->memory, bytes);
    sp_sha256 whole = t->hash;
    sp_sha256_end(&whole, digest);
    if (memcmp(digest, sha256, sizeof digest) != 0)
        return 0;
    t->state = TRANSFER_OPEN;
    t->bytes = t->received = bytes;
    memcpy(t->expected, sha256, sizeof t->expected);
    return 1;
}
#endif

uint16_t transfer_begin(transfer *t, const transfer_place *place, uint32_t bytes, const uint8_t sha256[32],
                        const char **text)
{
    t->state = TRANSFER_NONE;
    if (bytes == 0) {
        *text = "a transfer of 0 bytes";
        return SP_BAD_ARGUMENT;
    }
    if (bytes > place->capacity) {
        *text = "larger than the memory for it (HELLO tells its size)";
        return SP_TOO_LARGE;
    }
    if (!place->erase(bytes)) {
        *text = "the storage cannot be erased";
        return SP_STORAGE;
    }
    t->state = TRANSFER_OPEN;
    t->bytes = bytes;
    t->received = 0;
    memcpy(t->expected, sha256, sizeof t->expected);
    sp_sha256_begin(&t->hash);
    return SP_OK;
}

uint16_t transfer_write(transfer *t, const transfer_place *place, uint32_t offset, const uint8_t *data, uint32_t count,
                        const char **text)
{
    if (t->state != TRANSFER_OPEN) {
        *text = "WRITE without BEGIN";
        return SP_OUT_OF_ORDER;
    }
    if (offset != t->received) {
        *text = "WRITE at another offset than the next";
        return SP_OUT_OF_ORDER;
    }
    if (count > t->bytes - t->received) {
        *text = "more bytes than BEGIN announced";
        return SP_BAD_ARGUMENT;
    }
    if (!place->write(offset, data, count)) {
        t->state = TRANSFER_NONE;
        *text = "the storage cannot be written";
        return SP_STORAGE;
    }
    /* Of the memory, not of the message: what did not arrive in flash is found by COMMIT. */
    sp_sha256_add(&t->hash, place->memory + offset, count);
    t->received += count;
    return SP_OK;
}

uint16_t transfer_commit(transfer *t, const char **text)
{
    if (t->state != TRANSFER_OPEN) {
        *text = "COMMIT without BEGIN";
        return SP_OUT_OF_ORDER;
    }
    if (t->received != t->bytes) {
        *text = "COMMIT before all bytes were written";
        return SP_OUT_OF_ORDER;
    }
    uint8_t digest[32];
    sp_sha256_end(&t->hash, digest);
    if (memcmp(digest, t->expected, sizeof digest) != 0) {
        t->state = TRANSFER_NONE;
        *text = "the bytes in memory do not have the announced SHA-256";
        return SP_HASH;
    }
    t->state = TRANSFER_COMMITTED;
    return SP_OK;
}
