/* Inside the plan runtime: where a loaded plan and its arena lie, for the files that run nodes. */
#ifndef CORTEX_M_PLAN_RUN_H
#define CORTEX_M_PLAN_RUN_H

#include <stddef.h>

#include "plan.h"

typedef struct {
    const uint8_t *plan; /* NULL where none is loaded */
    uint8_t *arena;
    const uint8_t *sure;    /* the plan, where none of its nodes can lack an answer */
    const uint32_t *failed; /* the first node of this inference that had no answer; NULL mostly */
} plan_memory;

/* What belongs to an op that this build does not have is dropped by the compiler. */
#define PLAN_RUN(op_name, call)                                                                                        \
    case op_name:                                                                                                      \
        if (PLAN_HAS(op_name))                                                                                         \
            call;                                                                                                      \
        break

static inline const void *plan_at(const plan_memory *memory, uint32_t operand)
{
    if (operand == PLAN_NONE)
        return NULL;
    return operand & PLAN_CONSTANT ? memory->plan + (operand & ~PLAN_CONSTANT) : memory->arena + operand;
}

/* plan_run_more.c: one node of the ops from PLAN_FIRST_MORE on. */
void plan_run_more(plan_memory *memory, const uint32_t *record);

/* plan_run_from_64.c: those from PLAN_FIRST_LATE on, and why a node had no answer. */
void plan_run_from_64(plan_memory *memory, const uint32_t *record);
const char *plan_failure(const uint32_t *record);

/* plan_run_int4.c: ops with weights of 4 bits. */
void plan_run_int4(const plan_memory *memory, const uint32_t *record);

/* plan_run_float.c: one node of the ops from PLAN_FIRST_FLOAT on. */
void plan_run_float(const plan_memory *memory, const void *node);

#endif
