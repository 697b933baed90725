#include "profile.h"

#include "firmware.h"
#include "model.h"
#include "../runtime/runtime.h"

#if RT_LAYERS

/* What lies outside of the wanted nodes goes into one entry more, so that every mark executes the same instructions. */
#define SLOTS (PROFILE_NODES + 1u)
#define HEAD_BYTES 16u

_Static_assert(HEAD_BYTES + SLOTS * 16u <= SP_ANSWER_BYTES, "both rows lie in the answer");

static struct {
    uint64_t last, total;
    uint64_t *slots;
    uint32_t node; /* that has just ended; -1 before the first one */
    uint32_t first;
} walk;

/* The counter is read first of all: what follows belongs to the node after it, in a dry walk as in a real one. */
static void mark(void)
{
    const uint64_t now = port_ticks() - watch_ticks();
    const uint32_t at = walk.node - walk.first;
    walk.slots[at < PROFILE_NODES ? at : PROFILE_NODES] = now - walk.last;
    walk.last = now;
    walk.node++;
}

static int walk_nodes(uint64_t *slots, uint32_t first, int dry, rt_error *error)
{
    walk.slots = slots;
    walk.node = UINT32_MAX;
    walk.first = first;
    const uint64_t start = port_ticks() - watch_ticks();
    const int code = rt_invoke_marked(mark, dry, error);
    walk.total = walk.last - start;
    return code;
}

static int take_sample(uint32_t sample, uint32_t committed_bytes, sp_answer *answer)
{
    const uint32_t inputs = model_input_bytes();
    if (((uint64_t)sample + 1u) * inputs > committed_bytes) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "PROFILE: there is no such sample");
        return 0;
    }
    model_set_inputs(0, firmware_facts->samples + sample * inputs, inputs);
    return 1;
}

static int may_profile(const profile_request *request, uint32_t committed_bytes, sp_answer *answer)
{
    if (!model_loaded()) {
        answer_error(answer, SP_NO_MODEL, 0, "PROFILE: no model is loaded");
        return 0;
    }
    if (request->flags & ~(uint32_t)SP_RUN_DIRECT) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "PROFILE: unknown flags");
        return 0;
    }
    if (request->node >= rt_node_count()) {
        answer_error(answer, SP_BAD_ARGUMENT, 0, "PROFILE: the model has fewer nodes, or its runtime tells of none");
        return 0;
    }
    return (request->flags & SP_RUN_DIRECT) || take_sample(request->sample, committed_bytes, answer);
}

void profile_nodes(const profile_request *request, uint32_t committed_bytes, sp_answer *answer)
{
    if (!may_profile(request, committed_bytes, answer))
        return;
    /* As they travel, little-endian as all our boards are: a board with little memory has no other room for them. */
    uint64_t *const own = (uint64_t *)(void *)(answer->space + HEAD_BYTES), *const took = own + SLOTS;
    const uint32_t left = rt_node_count() - request->node, told = left < PROFILE_NODES ? left : PROFILE_NODES;
    const watch_deadline deadline = {request->deadline_ms, 1};
    rt_error error = {0};
    watch_begin(deadline);
    port_quiet(1);
    walk_nodes(own, request->node, 1, &error);
    int code = rt_reset(&error);
    if (code == RT_OK)
        code = walk_nodes(took, request->node, 0, &error);
    port_quiet(0);
    watch_end();
    if (code != RT_OK) {
        answer_error(answer, (uint16_t)code, error.detail, error.text);
        return;
    }
    sp_put64(sp_put32(sp_put32(answer->space, rt_node_count()), told), walk.total);
    answer->length = HEAD_BYTES + 2u * SLOTS * 8u;
}

#else
typedef int layers_are_not_in_this_build;
#endif
