/* PROFILE: what each node of one inference costs. */
#ifndef FIRMWARE_PROFILE_H
#define FIRMWARE_PROFILE_H

#include "../protocol/protocol.h"

/* Nodes that one answer has room for; more are asked for again, from another one on. */
#define PROFILE_NODES 14u

typedef struct {
    uint32_t sample, node, flags, deadline_ms;
} profile_request;

/* Runs the model once, from its initial state, and fills in the answer: nodes u32, told u32, ticks u64 of all of them,
 * then two rows of PROFILE_NODES + 1 u64, of which the first `told` entries are those of the nodes from `node` on: what
 * telling them apart took of each node's ticks, and its ticks.
 * `committed_bytes`: of samples, 0 without any. */
void profile_nodes(const profile_request *request, uint32_t committed_bytes, sp_answer *answer);

#endif
