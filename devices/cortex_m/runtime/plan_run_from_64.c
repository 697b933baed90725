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

static int32_t run_div(const plan_memory *memory, const plan_mul *node)
{
    return kn_div(&node->params, &node->at.broadcast, plan_at(memory, node->at.input1),
                  plan_at(memory, node->at.input2), (int8_t *)(memory->arena + node->at.output));
}

static void run_softmax_8_16(const plan_memory *memory, const plan_softmax *node)
{
    kn_softmax_8_16(&node->params, plan_at(memory, node->input), (int16_t *)(void *)(memory->arena + node->output));
}

static void run_svdf_8(const plan_memory *memory, const plan_svdf_8 *node)
{
    const plan_svdf *const at = &node->at;
    kn_svdf_8(&at->params, node->state_zero_point, plan_at(memory, at->input), plan_at(memory, at->feature_weights),
              plan_at(memory, at->time_weights), plan_at(memory, at->bias), (int8_t *)(memory->arena + at->state),
              (int8_t *)(memory->arena + at->output));
}

static void run_cast(const plan_memory *memory, const plan_cast *node)
{
    kn_cast(node->from, node->to, node->count, plan_at(memory, node->input), memory->arena + node->output);
}

void plan_run_from_64(plan_memory *memory, const uint32_t *record)
{
    const void *const node = record;
    switch (record[0] & 0xFFFFu) {
        PLAN_RUN(PLAN_TAKE, note(memory, record, run_take(memory, node)));
        PLAN_RUN(PLAN_CAST, run_cast(memory, node));
        PLAN_RUN(PLAN_INTEGERS, note(memory, record, run_integers(memory, node)));
        PLAN_RUN(PLAN_DIV, note(memory, record, run_div(memory, node)));
        PLAN_RUN(PLAN_SOFTMAX_8_16, run_softmax_8_16(memory, node));
        PLAN_RUN(PLAN_SVDF_8, run_svdf_8(memory, node));
    default:
        if (PLAN_HAS_INT4)
            plan_run_int4(memory, record);
        break;
    }
}

const char *plan_failure(const uint32_t *record)
{
    return (record[0] & 0xFFFFu) == PLAN_TAKE ? "an index of GATHER or GATHER_ND lies outside its dimension"
                                              : "a division by 0";
}
