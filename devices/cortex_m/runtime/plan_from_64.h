/* The records of the ops from PLAN_FIRST_LATE on. Included by plan.h, whose rules hold here. */
#ifndef CORTEX_M_PLAN_FROM_64_H
#define CORTEX_M_PLAN_FROM_64_H

#include "plan.h"
#include "plan_more.h"

/* Ops that may find at an inference that their inputs have no answer: it ends with RT_RUN_FAILED then. */
#define PLAN_CAN_FAIL (PLAN_HAS(PLAN_TAKE) || PLAN_HAS(PLAN_INTEGERS) || PLAN_HAS(PLAN_DIV))
#define PLAN_MAY_FAIL(op) ((op) == PLAN_TAKE || (op) == PLAN_INTEGERS || (op) == PLAN_DIV)

/* Ops with weights of 4 bits. */
#define PLAN_HAS_INT4                                                                                                  \
    (PLAN_HAS(PLAN_CONV_2D_4) || PLAN_HAS(PLAN_DEPTHWISE_CONV_2D_4) || PLAN_HAS(PLAN_FULLY_CONNECTED_4))

/* Blocks of kn_unpack_4 that so many weights take. */
#define PLAN_INT4_BLOCKS(weights) (((weights) + 31u) / 32u)

typedef struct {
    uint32_t head, input;
    uint32_t indices; /* int32 or int64 */
    uint32_t output;
    kn_take_params params;
} plan_take;

typedef struct {
    uint32_t head, input, output;
    int32_t count;
    int32_t from, to; /* enum kn_type */
} plan_cast;

typedef struct {
    plan_pair at; /* of int32 */
    kn_integers_params params;
} plan_integers;

typedef struct {
    plan_svdf at; /* state and time weights of int8 */
    int32_t state_zero_point;
} plan_svdf_8;

/* Weights of 4 bits: of every `at_once` output channels a run of whole blocks (kn_unpack_4), at a multiple of 4.
 * Scratch: room for one run unpacked, then, where at_once is less than the channels and a channel has several outputs,
 * room for the outputs of at_once channels in whole words, then what is left for the kernel. */
typedef struct {
    plan_conv conv;
    int32_t at_once; /* all output channels for DEPTHWISE_CONV_2D and for groups */
} plan_conv_4;

typedef struct {
    plan_fully_connected dense;
    int32_t at_once;
} plan_fully_connected_4;

PLAN_WORDS(plan_conv_4, 34);
PLAN_WORDS(plan_fully_connected_4, 21);
PLAN_WORDS(plan_take, 16);
PLAN_WORDS(plan_cast, 6);
PLAN_WORDS(plan_integers, 26);
PLAN_WORDS(plan_svdf_8, 19);

#endif
