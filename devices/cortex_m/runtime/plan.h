/* The plan: what the host makes of a .tflite and plan_run.c executes. docs/internals/plan-format.md says the same in
 * words.
 *
 * All words are little-endian and 32 bits wide; the structs below are the words of the file, in order. The plan's first
 * byte lies at a multiple of 16, and so does the arena's. Numbers of ops never change their meaning; a new op gets a
 * new number.
 */
#ifndef CORTEX_M_PLAN_H
#define CORTEX_M_PLAN_H

#include <stdint.h>

#include "kernels.h"

#define PLAN_MAGIC 0x4C504E4Bu /* the bytes KNPL */
#define PLAN_VERSION 1u

#define PLAN_NONE 0xFFFFFFFFu /* an operand that is not there */
#define PLAN_CONSTANT                                                                                                  \
    0x80000000u /* set: the rest is an offset from the start of the plan; clear: an offset into the arena */

#define PLAN_MAX_INPUTS 32 /* of one CONCATENATION */
#define PLAN_MAX_IO 64     /* inputs of a plan, and outputs */

typedef struct {
    uint32_t magic, version;
    uint32_t bytes;       /* of the whole plan, header included */
    uint32_t arena_bytes; /* that it needs */
    uint32_t node_count, nodes_offset, nodes_bytes;
    uint32_t io_offset, input_count, output_count;
    uint32_t constants_offset, constants_bytes;
    uint32_t crc;         /* CRC-32 (IEEE 802.3, as zlib) of everything behind the header */
    uint32_t reset_nodes; /* so many of the first nodes run when the plan is loaded and at every reset, and at no
                             inference */
    uint32_t reserved[2];
} plan_header;

enum plan_type {
    PLAN_INT8 = 0,
    PLAN_UINT8 = 1,
    PLAN_FLOAT32 = 2,
    PLAN_INT16 = 3,
    PLAN_INT32 = 4,
    PLAN_INT64 = 5,
    PLAN_TYPES = 6
};

/* One entry of the inputs-and-outputs table; inputs first. */
typedef struct {
    uint32_t arena_offset; /* a multiple of 4 */
    uint32_t bytes;
    uint32_t type; /* enum plan_type */
    uint32_t elements;
} plan_io;

enum plan_op {
    PLAN_CONV_2D = 1,
    PLAN_DEPTHWISE_CONV_2D = 2,
    PLAN_FULLY_CONNECTED = 3,
    PLAN_MAX_POOL_2D = 4,
    PLAN_AVERAGE_POOL_2D = 5,
    PLAN_MEAN = 6,
    PLAN_ADD = 7,
    PLAN_SUB = 8,
    PLAN_MUL = 9,
    PLAN_MAXIMUM = 10,
    PLAN_MINIMUM = 11,
    PLAN_CONCATENATION = 12,
    PLAN_COPY = 13, /* RESHAPE, SQUEEZE, EXPAND_DIMS where the output is not simply the input's memory */
    PLAN_PAD = 14,  /* and PADV2 */
    PLAN_SOFTMAX = 15,
    PLAN_LOOKUP = 16,  /* LOGISTIC, TANH, any function by table */
    PLAN_RESCALE = 17, /* RELU, RELU6, RELU_N1_TO_1, QUANTIZE from int8 to int8 */
    PLAN_LEAKY_RELU = 18,
    PLAN_HARD_SWISH = 19,
    PLAN_GATHER = 20, /* TRANSPOSE, STRIDED_SLICE, SPLIT, SLICE */
    PLAN_RESIZE_NEAREST = 21,
    PLAN_QUANTIZE = 22,   /* float32 to int8 */
    PLAN_DEQUANTIZE = 23, /* int8 to float32 */
    PLAN_FLIP_SIGN = 24,  /* uint8 to int8 of the same meaning, and back */
    PLAN_CONV_2D_16 = 25, /* and FULLY_CONNECTED: 16-bit activations, 8-bit weights */
    PLAN_DEPTHWISE_CONV_2D_16 = 26,
    PLAN_TRANSPOSE_CONV = 27,
    PLAN_TRANSPOSE_CONV_16 = 28,
    PLAN_ADD_16 = 29,
    PLAN_SUB_16 = 30,
    PLAN_LEAKY_RELU_16 = 31,
    PLAN_REQUANTIZE = 32, /* QUANTIZE between int8, int16 and int32 */
    PLAN_REDUCE = 33,     /* REDUCE_MAX, REDUCE_MIN; of int16 too */
    PLAN_ARG_MAX = 34,    /* and ARG_MIN */
    PLAN_COMPARE = 35,    /* EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL */
    PLAN_SELECT = 36,     /* and SELECT_V2; items of any size */
    PLAN_RESIZE_BILINEAR = 37,
    PLAN_PRELU = 38,
    PLAN_BATCH_MATMUL = 39,
    PLAN_L2_NORMALIZATION = 40,
    PLAN_MAX_POOL_2D_16 = 41,
    PLAN_AVERAGE_POOL_2D_16 = 42,
    PLAN_MEAN_16 = 43,
    PLAN_MUL_16 = 44,
    PLAN_MAXIMUM_16 = 45,
    PLAN_MINIMUM_16 = 46,
    PLAN_LOOKUP_16 = 47,  /* any function by table and straight lines */
    PLAN_SIGMOID_16 = 48, /* LOGISTIC, TANH */
    PLAN_SOFTMAX_16 = 49,
    PLAN_FILL = 50, /* bytes of one value */
    PLAN_SVDF = 51,
    PLAN_ASSIGN = 52,        /* COPY into memory that keeps its values */
    PLAN_QUANTIZE_16 = 53,   /* float32 to int16 */
    PLAN_DEQUANTIZE_16 = 54, /* int16 to float32 */
    PLAN_LSTM = 55,          /* UNIDIRECTIONAL_SEQUENCE_LSTM */
    /* Of 16-bit activations; SQUARED_DIFFERENCE of int8 too. */
    PLAN_RESIZE_BILINEAR_16 = 56,
    PLAN_BATCH_MATMUL_16 = 57,
    PLAN_COMPARE_16 = 58,
    PLAN_PRELU_16 = 59,
    PLAN_SQUARED_DIFFERENCE = 60,
    PLAN_SQRT_16 = 61,
    PLAN_LSTM_16 = 62,
    /* plan_from_64.h: */
    PLAN_TAKE = 64,     /* GATHER, GATHER_ND by computed indices */
    PLAN_CAST = 65,     /* CAST between types of any two sizes */
    PLAN_INTEGERS = 66, /* ADD, SUB, MUL, MAXIMUM, MINIMUM, DIV, FLOOR_DIV, FLOOR_MOD of int32 */
    PLAN_DIV = 67,      /* of 8 bits */
    PLAN_SOFTMAX_8_16 = 68,
    PLAN_SVDF_8 = 69,    /* with a memory of 8 bits */
    PLAN_CONV_2D_4 = 70, /* these three: weights of 4 bits */
    PLAN_DEPTHWISE_CONV_2D_4 = 71,
    PLAN_FULLY_CONNECTED_4 = 72,
    PLAN_OPS = 73
};

/* Ops from this one on are checked and run by the files named *_more.c. */
#define PLAN_FIRST_MORE 33
#define PLAN_HAS_MORE ((PLAN_BUILT_OPS) >> PLAN_FIRST_MORE || PLAN_HAS_LATE || PLAN_HAS_FLOATS)

/* From this one on: by the files named *_from_64.c. */
#define PLAN_FIRST_LATE 64
#define PLAN_HAS_LATE (((PLAN_LATE_OPS) & 0xFFFFu) != 0)

/* From this one on: the float32 ops (plan_float.h), by the files named *_float.c; where the core has the unit. */
#define PLAN_FIRST_FLOAT 80
#define PLAN_FLOATS 16
#define PLAN_HAS_FLOATS ((PLAN_LATE_OPS) >> (PLAN_FIRST_FLOAT - PLAN_FIRST_LATE) != 0)

/* Whether a plan can keep anything from one inference to the next. */
#define PLAN_HAS_STATE (PLAN_HAS(PLAN_FILL) || PLAN_HAS(PLAN_ASSIGN))

/* Which ops a build has, bit n for op n, and bit n of the second number for op 64 + n: all of them, unless the compiler
 * is told those of some models. */
#ifndef PLAN_BUILT_OPS
#define PLAN_BUILT_OPS (((uint64_t)1 << 63) - 2u)
#ifndef PLAN_BUILT_LATE_OPS
#define PLAN_BUILT_LATE_OPS                                                                                            \
    ((((uint64_t)1 << (PLAN_OPS - PLAN_FIRST_LATE)) - 1u) | (((uint64_t)1 << PLAN_FLOATS) - 1u)                        \
                                                                << (PLAN_FIRST_FLOAT - PLAN_FIRST_LATE))
#endif
#endif
#ifndef PLAN_BUILT_LATE_OPS
#define PLAN_BUILT_LATE_OPS ((uint64_t)0)
#endif

/* Without the unit none of the float32 ops, whatever was asked for. */
#define PLAN_LATE_OPS ((PLAN_BUILT_LATE_OPS) & (KN_FLOATS ? ~(uint64_t)0 : 0xFFFFu))

/* A constant where `op` is one, so that the compiler drops what a build does not have. */
#define PLAN_HAS(op) (((op) < PLAN_FIRST_LATE ? (PLAN_BUILT_OPS) >> ((op) & 63) : (PLAN_LATE_OPS) >> ((op) & 63)) & 1u)

#define PLAN_HAS_CONV_16                                                                                               \
    (PLAN_HAS(PLAN_CONV_2D_16) || PLAN_HAS(PLAN_DEPTHWISE_CONV_2D_16) || PLAN_HAS(PLAN_TRANSPOSE_CONV_16))

/* ---- records ------------------------------------------------------------------------------------------------- *
 *
 * `head` is op | words << 16; words counts the whole record, head included. Every operand is a word as
 * docs/internals/plan-format.md has it. "none allowed" says where PLAN_NONE may stand. "constant": must not lie in the
 * arena, because its values are checked once, at load. Outputs and scratch lie in the arena.
 */

/* Operands of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED. */
typedef struct {
    uint32_t head;
    uint32_t input;
    uint32_t weights;
    uint32_t bias;        /* int32 [output channels]; none allowed */
    uint32_t folded;      /* int32 [output channels]; none allowed: then the portable kernel runs */
    uint32_t multipliers; /* int32 [output channels], or [1] where per_channel is 0; constant; values >= 0 */
    uint32_t shifts;      /* int32, as many; constant; values -31..30 */
    uint32_t scratch;     /* a multiple of 4; none allowed, with 0 bytes */
    uint32_t output;
    uint32_t scratch_bytes;
    int32_t per_channel; /* 0 or 1 */
} plan_weighted;

typedef struct {
    plan_weighted at;
    kn_conv_params params;
    kn_conv_shape shape;
} plan_conv; /* PLAN_CONV_2D, PLAN_DEPTHWISE_CONV_2D, PLAN_TRANSPOSE_CONV */

typedef struct {
    plan_weighted at; /* bias: int64 where `wide` is 1, at a multiple of 4; shifts then -31..7 */
    int32_t wide;     /* 0 or 1 */
    kn_conv_params params;
    kn_conv_shape shape;
} plan_conv_16; /* PLAN_CONV_2D_16, PLAN_DEPTHWISE_CONV_2D_16, PLAN_TRANSPOSE_CONV_16 */

typedef struct {
    plan_weighted at;
    kn_fully_connected_params params;
} plan_fully_connected;

typedef struct {
    uint32_t head, input, output;
    kn_pool_params params;
} plan_pool; /* PLAN_MAX_POOL_2D, PLAN_AVERAGE_POOL_2D */

typedef struct {
    uint32_t head, input, output;
    kn_mean_params params;
} plan_mean;

typedef struct {
    uint32_t head, input1, input2, output;
    kn_broadcast broadcast; /* before the parameters of ADD, SUB, MUL */
} plan_pair;                /* PLAN_MAXIMUM, PLAN_MINIMUM; the front of the two below */

typedef struct {
    plan_pair at;
    kn_add_params params;
} plan_add; /* PLAN_ADD, PLAN_SUB, PLAN_ADD_16, PLAN_SUB_16 */

typedef struct {
    plan_pair at;
    kn_mul_params params;
} plan_mul;

/* Followed by inputs x input operand, inputs x table operand (none allowed), inputs x inner size: 4 + 3 * inputs words.
 */
typedef struct {
    uint32_t head, output;
    int32_t outer, inputs; /* inputs 1..PLAN_MAX_INPUTS */
} plan_concatenation;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
} plan_copy; /* PLAN_COPY, PLAN_FLIP_SIGN, PLAN_ASSIGN */

typedef struct {
    uint32_t head, input, output;
    kn_pad_params params;
} plan_pad;

typedef struct {
    uint32_t head, input, output;
    kn_softmax_params params;
} plan_softmax;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    uint32_t table; /* int8 [256] */
} plan_lookup;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    kn_rescale_params params;
} plan_rescale;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    kn_leaky_relu_params params;
} plan_leaky_relu; /* PLAN_LEAKY_RELU, PLAN_LEAKY_RELU_16 */

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    kn_hard_swish_params params;
} plan_hard_swish;

typedef struct {
    uint32_t head, input, output;
    kn_view view;
} plan_gather;

typedef struct {
    uint32_t head, input, output;
    uint32_t rows;    /* int32 [output height]: the input row of each output row; constant */
    uint32_t columns; /* int32 [output width]: the input column of each output column; constant */
    kn_resize_shape shape;
} plan_resize;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    int32_t zero_point;
    float scale; /* positive, finite, not denormal */
} plan_quantize; /* PLAN_QUANTIZE, PLAN_DEQUANTIZE, PLAN_QUANTIZE_16, PLAN_DEQUANTIZE_16 */

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    int32_t input_bytes, output_bytes; /* of one item: 1, 2 or 4 */
    kn_rescale_params params;
} plan_requantize;

/* The records are read where they lie: no compiler may put anything between their words. */
#define PLAN_WORDS(type, words) _Static_assert(sizeof(type) == 4u * (words), #type " is not its words")
PLAN_WORDS(plan_header, 16);
PLAN_WORDS(plan_io, 4);
PLAN_WORDS(plan_weighted, 11);
PLAN_WORDS(plan_conv, 33);
PLAN_WORDS(plan_fully_connected, 20);
PLAN_WORDS(plan_pool, 18);
PLAN_WORDS(plan_mean, 21);
PLAN_WORDS(plan_pair, 23);
PLAN_WORDS(plan_add, 36);
PLAN_WORDS(plan_mul, 31);
PLAN_WORDS(plan_concatenation, 4);
PLAN_WORDS(plan_copy, 4);
PLAN_WORDS(plan_pad, 23);
PLAN_WORDS(plan_softmax, 8);
PLAN_WORDS(plan_lookup, 5);
PLAN_WORDS(plan_rescale, 11);
PLAN_WORDS(plan_leaky_relu, 10);
PLAN_WORDS(plan_hard_swish, 10);
PLAN_WORDS(plan_gather, 17);
PLAN_WORDS(plan_resize, 11);
PLAN_WORDS(plan_quantize, 6);
PLAN_WORDS(plan_conv_16, 34);
PLAN_WORDS(plan_requantize, 13);

#include "plan_from_64.h"
#include "plan_more.h"
#include "plan_float.h"

#endif
