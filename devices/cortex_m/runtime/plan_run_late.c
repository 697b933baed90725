/* The plan runtime: the ops from PLAN_FIRST_LATE on. */
#include "plan_run.h"

/* Keeps the first node of an inference that had no answer. */
static void note(plan_memory *memory, const uint32_t *record, int32_t failed)
{
    if (failed && !memory->failed)
        memory->failed = record;
}

static int32_t run_take(const plan_memory *memory, const plan_take *node)
{
    return kn_take(&node->params, plan_at(memory, node->input), plan_at(memory, node->indices),
                   (int8_t *)(memory->arena + node->output));
}

static int32_t run_integers(const plan_memory *memory, const plan_integers *node)
{
    return kn_integers(&node->params, &node->at.broadcast, plan_at(memory, node->at.input1),
                       plan_at(memory, node->at.input2), (int32_t *)(void *)(memory->arena + node->at.output));
}

static void run_cast(const plan_memory *memory, const plan_cast *node)
{
    kn_cast(node->from, node->to, node->count, plan_at(memory, node->input), memory->arena + node->output);
}

void plan_run_late(plan_memory *memory, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        PLAN_RUN(PLAN_TAKE, note(memory, record, run_take(memory, node)));
        PLAN_RUN(PLAN_CAST, run_cast(memory, node));
        PLAN_RUN(PLAN_INTEGERS, note(memory, record, run_integers(memory, node)));
    default:
        break;
    }
}

const char *plan_failure(const uint32_t *record)
{
    return (record[0] & 0xFFFFu) == PLAN_TAKE ? "an index of GATHER or GATHER_ND lies outside its dimension"
                                              : "a division by 0";
}
