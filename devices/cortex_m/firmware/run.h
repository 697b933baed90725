/* RUN: inferences on samples, and the records they leave behind the samples. */
#ifndef FIRMWARE_RUN_H
#define FIRMWARE_RUN_H

#include "../protocol/protocol.h"

typedef struct {
    uint32_t first, count, flags, deadline_ms;
} run_request;

typedef struct {
    uint32_t count; /* inferences that ended well */
    uint64_t ticks; /* of all of them */
} run_done;

/* `committed_bytes`: of samples, 0 without any. Errors are in `answer`. */
run_done run_inferences(const run_request *request, uint32_t committed_bytes, sp_answer *answer);

/* The records of the last RUN. */
const uint8_t *run_results(void);
uint32_t run_results_bytes(void);

/* Samples or model change: the records are gone. */
void run_forget(void);

#endif
