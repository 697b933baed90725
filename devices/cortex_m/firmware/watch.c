#include "watch.h"

#include "faults.h"
#include "firmware.h"
#include "model.h"

static struct {
    watch_deadline deadline;
    uint32_t checks; /* since the deadline passed */
    uint32_t silent; /* of them in a row, the last ones, that found nothing changed */
    uint32_t seen;   /* of the arena, at the last of them */
    uint64_t ticks;  /* that they took */
} watched;

/* Of all that the model has in the arena (FNV-1a over words). */
static uint32_t arena_hash(void)
{
    const volatile uint32_t *word = (const volatile uint32_t *)(const void *)model_arena().data;
    uint32_t hash = 2166136261u;
    for (uint32_t left = rt_arena_used() / 4u; left > 0; left--)
        hash = (hash ^ *word++) * 16777619u;
    return hash;
}

void watch_begin(watch_deadline deadline)
{
    watched.deadline = deadline;
    watched.checks = 0;
    watched.ticks = 0;
    if (deadline.ms != 0)
        faults_watch((uint32_t)port_watchdog(deadline.ms));
}

uint64_t watch_end(void)
{
    if (watched.deadline.ms != 0) {
        port_watchdog(0);
        watched.deadline.ms = 0;
        faults_watch(0);
    }
    return watched.ticks;
}

#if RT_LAYERS
uint64_t watch_ticks(void)
{
    return watched.ticks;
}
#endif

uint32_t watch_goes_on(void)
{
    if (watched.deadline.ms == 0 || !watched.deadline.while_working)
        return 0;
    const uint64_t start = port_ticks();
    const uint32_t now = arena_hash();
    const int changed = watched.checks == 0 || now != watched.seen;
    watched.silent = changed ? 0 : watched.silent + 1u;
    if (watched.silent >= WATCH_CHECKS || watched.checks >= WATCH_CHECKS * WATCH_DEADLINES)
        return 0;
    watched.seen = now;
    watched.checks++;
    const uint32_t next_ms = watched.deadline.ms / WATCH_CHECKS;
    port_watchdog(next_ms > WATCH_LEAST_MS ? next_ms : WATCH_LEAST_MS);
    if (changed)
        sp_send_working(&firmware_session, watched.checks);
    watched.ticks += port_ticks() - start;
    return 1;
}
