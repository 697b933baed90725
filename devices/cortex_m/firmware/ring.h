/* Bytes from a receive interrupt to port_read: one writer, one reader, no lock. */
#ifndef FIRMWARE_RING_H
#define FIRMWARE_RING_H

#include <stdint.h>

#include "../protocol/protocol.h"

/* All that the host may have under way, so that nothing is lost while an inference runs; a power of two makes the index
 * cheap. */
#ifndef FW_RING_BYTES
#define FW_RING_BYTES 8192u
#endif
_Static_assert(FW_RING_BYTES >= SP_WINDOW * SP_ENCODED_BYTES, "the ring buffer must hold a window of frames");
_Static_assert((FW_RING_BYTES & (FW_RING_BYTES - 1u)) == 0, "indices count up for ever");

typedef struct {
    volatile uint32_t head, tail; /* count up for ever; only the interrupt writes head, only the reader tail */
    volatile uint8_t bytes[FW_RING_BYTES];
} byte_ring;

/* Drops the byte when the ring is full: the frame's CRC tells, and the host sends it again. */
static inline void ring_put(byte_ring *ring, uint8_t byte)
{
    if (ring->head - ring->tail >= FW_RING_BYTES)
        return;
    ring->bytes[ring->head % FW_RING_BYTES] = byte;
    ring->head = ring->head + 1u;
}

static inline int ring_empty(const byte_ring *ring)
{
    return ring->head == ring->tail;
}

/* -1: none. */
static inline int ring_get(byte_ring *ring)
{
    if (ring_empty(ring))
        return -1;
    const int byte = ring->bytes[ring->tail % FW_RING_BYTES];
    ring->tail = ring->tail + 1u;
    return byte;
}

#endif
