/* The records of the ops from PLAN_FIRST_LATE on. Included by plan.h, whose rules hold here. */
#ifndef CORTEX_M_PLAN_LATE_H
#define CORTEX_M_PLAN_LATE_H

#include "plan.h"

/* Ops that may find at an inference that their inputs have no answer: it ends with RT_RUN_FAILED then. */
#define PLAN_CAN_FAIL (PLAN_HAS(PLAN_TAKE) || PLAN_HAS(PLAN_INTEGERS))

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

PLAN_WORDS(plan_take, 16);
PLAN_WORDS(plan_cast, 6);
PLAN_WORDS(plan_integers, 26);

#endif
