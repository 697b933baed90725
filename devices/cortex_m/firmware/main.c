/* The firmware: bytes from the line into the protocol, requests into commands.c. No heap, no threads, one loop. */
#include "../runtime/runtime.h"
#include "faults.h"
#include "firmware.h"
#include "footprint.h"

#ifndef FW_BUILD
#define FW_BUILD "unknown"
#endif

const port_facts *firmware_facts;
/* By name, so that tools find it in a program that has not run yet. */
const char firmware_build[] = FW_BUILD;
sp_session firmware_session;

static void send(void *context, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    port_write(bytes, count);
}

static void tell_facts(sp_facts *facts)
{
    facts->clock_hz = firmware_facts->clock_hz;
    facts->tick_hz = firmware_facts->tick_hz;
    facts->tick_unit = firmware_facts->tick_unit;
    facts->model_kind = (uint8_t)rt_model_kind();
    facts->plan_version = (uint16_t)rt_plan_version();
    facts->arena_bytes = firmware_facts->arena_bytes;
    facts->model_bytes = firmware_facts->model_bytes;
    facts->sample_bytes = firmware_facts->sample_bytes;
    facts->code_bytes = code_bytes();
    facts->kernels = rt_kernels();
    facts->ops = rt_ops();
#if SP_LATE_OPS
    facts->late_ops = rt_late_ops();
#endif
    facts->boots = faults_boots();
    facts->reset_reason = (uint8_t)faults_reset_reason();
    facts->features = (RT_LAYERS ? SP_TELLS_LAYERS : 0) | SP_TELLS_WORK;
    facts->last_fault = *faults_last();
    facts->board = firmware_facts->board;
    facts->core = firmware_facts->core;
    facts->runtime = rt_name();
    facts->firmware = firmware_build;
}

int main(void)
{
    static sp_facts facts;
    static const sp_config config = {.facts = &facts, .handle = commands_handle, .send = send};
    /* The session first: a fault in what follows has to be able to tell. */
    sp_init(&firmware_session, &config);
    firmware_facts = port_init();
    faults_start();
    tell_facts(&facts);
    sp_announce_boot(&firmware_session);
    for (;;) {
        const int byte = port_read();
        if (byte < 0)
            continue;
        const uint8_t received = (uint8_t)byte;
        sp_receive(&firmware_session, &received, 1);
        stack_check();
        if (commands_reset_wanted())
            faults_reset();
    }
}
