/* The board's end of docs/internals/serial-protocol.md: frames, sessions, repetition, hashes.
 *
 * No heap, no globals: all state is in the sp_session that the caller owns. One thread: sp_receive may not be called
 * from an interrupt while it runs elsewhere; the receive interrupt fills a ring buffer of SP_WINDOW * SP_ENCODED_BYTES,
 * the main loop empties it into sp_receive.
 */
#ifndef CORTEX_M_PROTOCOL_H
#define CORTEX_M_PROTOCOL_H

#include <stdint.h>

#include "crc32.h"

#define SP_VERSION 1

/* The largest payload, either way: 8 bytes of WRITE's own and 1 KiB. Boards with little memory define less (at least
 * 264). */
#ifndef SP_MAX_PAYLOAD
#define SP_MAX_PAYLOAD 1032
#endif
/* Requests that the host may have under way. */
#ifndef SP_WINDOW
#define SP_WINDOW 4
#endif
#define SP_HEADER_BYTES 8
#define SP_FRAME_BYTES (SP_HEADER_BYTES + SP_MAX_PAYLOAD + 4)
/* The largest frame on the line: a code byte for each 254 bytes, and a zero byte on both sides. */
#define SP_ENCODED_BYTES (SP_FRAME_BYTES + SP_FRAME_BYTES / 254 + 1 + 2)
/* Room for an answer that must be kept for repetition. */
#define SP_ANSWER_BYTES 256

#if SP_MAX_PAYLOAD < 264 || SP_MAX_PAYLOAD > 65535
#error "SP_MAX_PAYLOAD must be between 264 and 65535"
#endif

enum sp_type {
    SP_HELLO = 0x01,
    SP_BEGIN = 0x02,
    SP_WRITE = 0x03,
    SP_COMMIT = 0x04,
    SP_RUN = 0x05,
    SP_READ = 0x06,
    SP_STATS = 0x07,
    SP_RESET = 0x08,
    SP_PROFILE = 0x09,
    SP_WORKING = 0x7C,
    SP_FAULT = 0x7D,
    SP_NAK = 0x7E,
    SP_ERROR = 0x7F,
    SP_ANSWER = 0x80
};
enum sp_target { SP_MODEL = 1, SP_SAMPLES = 2, SP_INPUTS = 3, SP_OUTPUTS = 4, SP_RESULTS = 5 };
enum sp_run_flag { SP_RUN_REPEAT = 1, SP_RUN_DIRECT = 2, SP_RUN_CARRY = 4, SP_RUN_WHILE_WORKING = 8 };
/* What a firmware can do beyond version 1 as it was first: hosts ask for nothing that is not here. */
enum sp_feature { SP_TELLS_LAYERS = 1, SP_TELLS_WORK = 2 };
enum sp_code {
    SP_OK = 0,
    SP_BAD_SESSION = 1,
    SP_BAD_ARGUMENT = 2,
    SP_UNKNOWN_TYPE = 3,
    SP_OUT_OF_ORDER = 4,
    SP_NO_MODEL = 5,
    SP_TOO_LARGE = 6,
    SP_HASH = 7,
    SP_BAD_MODEL = 8,
    SP_UNSUPPORTED_OP = 9,
    SP_RUN_FAILED = 10,
    SP_STORAGE = 11,
    SP_BAD_VERSION = 12
};
enum sp_fault_kind {
    SP_FAULT_NONE = 0,
    SP_FAULT_HARD = 1,
    SP_FAULT_MEMORY = 2,
    SP_FAULT_BUS = 3,
    SP_FAULT_USAGE = 4,
    SP_FAULT_WATCHDOG = 5,
    SP_FAULT_STACK = 6
};
enum sp_reset_reason { SP_RESET_POWER = 0, SP_RESET_REQUEST = 1, SP_RESET_FAULT = 2, SP_RESET_WATCHDOG = 3 };

typedef struct {
    uint32_t kind; /* enum sp_fault_kind */
    uint32_t pc, lr, status, address;
} sp_fault;

/* Whether HELLO ends in the ops from 64 on. A build of some ops that has none of those leaves it out: it is to be
 * small.
 */
#ifndef SP_LATE_OPS
#define SP_LATE_OPS 1
#endif

/* What HELLO tells. Strings are UTF-8 and end in 0; at most SP_STRING_BYTES bytes of each are sent. */
#define SP_STRING_BYTES 42
typedef struct {
    uint32_t clock_hz, tick_hz;
    uint8_t tick_unit;  /* 1 timer ticks, 2 core cycles */
    uint8_t model_kind; /* 1 plan, 2 .tflite */
    uint16_t plan_version;
    uint32_t arena_bytes, model_bytes, sample_bytes, code_bytes;
    uint32_t kernels;       /* 1 portable, 2 DSP, 3 MVE */
    uint64_t ops, late_ops; /* bit n: op n of the plan format, op 64 + n */
    uint32_t boots;
    uint8_t reset_reason;
    uint8_t features;    /* enum sp_feature */
    sp_fault last_fault; /* all zeros: none */
    const char *board, *core, *runtime, *firmware;
} sp_facts;

typedef struct {
    uint8_t type;     /* never SP_HELLO; may be a number that enum sp_type does not have */
    uint8_t repeated; /* 1: executed before, and the answer was lost. Only WRITE, READ, STATS: do it again, it must
                         change nothing */
    const uint8_t *payload; /* at a multiple of 8; valid until the handler returns */
    uint32_t length;
} sp_request;

typedef struct {
    uint16_t error;   /* enum sp_code; SP_OK: the answer is data and length */
    uint16_t detail;  /* of an error */
    const char *text; /* of an error, may be NULL: what happened, in words a user can act on; at most 120 bytes are
                         sent; not in `space` */
    uint8_t *space;   /* SP_ANSWER_BYTES bytes at a multiple of 8, for the handler to write an answer into; data points
                         there at first */
    const uint8_t *data; /* a handler of READ may point it to where the bytes are instead (they are sent before
                            sp_receive returns) */
    uint32_t length;     /* 0 at first; at most SP_MAX_PAYLOAD, and SP_ANSWER_BYTES for all types but READ */
} sp_answer;

/* Executes a request. Everything in `answer` is preset to an empty good answer. An unknown type: error =
 * SP_UNKNOWN_TYPE. */
typedef void (*sp_handle)(void *context, const sp_request *request, sp_answer *answer);
/* Sends bytes on the line; returns when they are on their way. */
typedef void (*sp_send)(void *context, const uint8_t *bytes, uint32_t count);

typedef struct {
    const sp_facts *facts; /* read at every HELLO */
    sp_handle handle;
    sp_send send;
    void *context;
} sp_config;

/* Only the counters are for others to read. */
typedef struct {
    uint32_t frames_good, frames_bad, frames_repeated;
    /* sequence rules */
    sp_config config;
    uint16_t session;     /* 0: none yet */
    uint16_t expected;    /* the sequence number to execute next */
    uint16_t last_acting; /* of the last executed request that is not WRITE, READ or STATS */
    uint16_t last_early;  /* of the last frame that came too early */
    uint8_t gap;          /* 1: a NAK was sent since the last executed request */
    /* the answer to the last executed request, for repetition */
    uint8_t kept_type; /* 0: none in this session */
    uint16_t kept_length;
    /* incremental COBS decoder */
    uint8_t block;     /* code byte of the block under way, 0: none since the last zero byte */
    uint8_t left;      /* bytes of it to come */
    uint8_t broken;    /* 1: too long; skip to the next zero byte */
    uint8_t out_count; /* encoder: bytes in `out`, the code byte counted */
    uint32_t count;    /* bytes in `frame` */
    uint32_t out_crc;
    uint8_t out[255];
    _Alignas(8) uint8_t kept[SP_ANSWER_BYTES];
    _Alignas(8) uint8_t frame[SP_FRAME_BYTES];
} sp_session;

void sp_init(sp_session *s, const sp_config *config);

/* Takes received bytes, any number at a time, and executes and answers every request that is complete with them. */
void sp_receive(sp_session *s, const uint8_t *bytes, uint32_t count);

/* To be called once after start-up: tells a host that waits for an answer that it waits in vain. */
void sp_announce_boot(sp_session *s);

/* For fault handlers: no interrupts and about 100 bytes of stack needed; may cut off a frame that was being sent. */
void sp_send_fault(sp_session *s, const sp_fault *fault);

/* From the watchdog's interrupt, while a request is executed: the board works on, and the host need not give it up. */
void sp_send_working(sp_session *s, uint32_t checks);

/* ---- parts that are useful elsewhere ------------------------------------------------------------------------- */

typedef struct {
    uint32_t state[8];
    uint32_t total; /* bytes so far, below 2^29 */
    uint8_t block[64];
} sp_sha256;
void sp_sha256_begin(sp_sha256 *hash);
void sp_sha256_add(sp_sha256 *hash, const uint8_t *bytes, uint32_t count);
void sp_sha256_end(sp_sha256 *hash, uint8_t digest[32]);

/* Little-endian numbers at any address. */
static inline uint16_t sp_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (at[1] << 8));
}
static inline uint32_t sp_get32(const uint8_t *at)
{
    return (uint32_t)sp_get16(at) | ((uint32_t)sp_get16(at + 2) << 16);
}
static inline uint8_t *sp_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}
static inline uint8_t *sp_put32(uint8_t *at, uint32_t value)
{
    return sp_put16(sp_put16(at, value), value >> 16);
}
static inline uint8_t *sp_put64(uint8_t *at, uint64_t value)
{
    return sp_put32(sp_put32(at, (uint32_t)value), (uint32_t)(value >> 32));
}

#endif
