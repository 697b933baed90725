/* Mutated plans against the plan runtime and the fast kernels of an emulated core. Command line: seed, cases, and 1
 * where plans are to be mutated once they are loaded, what the contract forbids and what must not go unnoticed.
 *
 * The valid plans are linked in (seeds.c, made by the test). The arena ends at the fence, so that an access behind it
 * is a fault, which ends the program with code 3; so does one that the core cannot make. Ends with code 1 at a write
 * beside a node's output and scratch. Prints how many plans ran and how many were refused. */
#include "bare.h"
#include "fast.h"
#include "plan_mutate.h"

enum { ARENA_LIMIT = 16384, PLAN_WORDS_LIMIT = 8192, GUARD = 64 };

extern const uint32_t seed_words[]; /* count of words, words, ...; a 0 at the end */

static uint32_t work[PLAN_WORDS_LIMIT] __attribute__((aligned(16)));
static uint8_t before[ARENA_LIMIT + GUARD];

static void stop(const char *what)
{
    bare_text(what);
    bare_text("\n");
    bare_exit(1);
}

/* Returns whether the plan ran. */
static int one_case(const uint32_t *seed, uint32_t count, uint8_t *fence, uint32_t after_load)
{
    rt_error error;
    for (uint32_t i = 0; i < count; ++i)
        work[i] = seed[i];
    for (uint32_t left = after_load ? 0 : 1u + random_below(3); left > 0; --left)
        mutate(work, &count);
    repair(work, count);
    const uint32_t room = work[3] < ARENA_LIMIT ? (work[3] + 15u) & ~15u : ARENA_LIMIT;
    uint8_t *const arena = fence - room;
    for (uint32_t i = 0; i < room + GUARD; ++i)
        before[i] = (fence - room - GUARD)[i] = (uint8_t)random_below(256);
    const int loaded = rt_load((const uint8_t *)work, 4u * count, arena, room, &error) == RT_OK;
    for (uint32_t left = loaded && after_load ? 2 : 0; left > 0; --left)
        mutate(work, &count);
    if (loaded && rt_invoke(&error) != RT_OK)
        stop("a loaded plan did not run");
    if (loaded && work[4] == 1)
        check_writes((const uint8_t *)work, before + GUARD, arena);
    for (uint32_t i = 0; i < GUARD; ++i)
        if (before[i] != (arena - GUARD)[i])
            stop("something wrote before the arena");
    for (uint32_t i = work[3] < room ? work[3] : room; loaded && i < room; ++i)
        if (before[GUARD + i] != arena[i])
            stop("something wrote behind the arena");
    rt_unload();
    return loaded;
}

int main(void)
{
    uint8_t *const fence = (uint8_t *)bare_fence();
    uint32_t ran = 0, refused = 0, seeds = 0;
    const uint32_t *at = seed_words;
    seed_random(bare_argument(1, 1));
    for (; *at; at += 1 + *at)
        ++seeds;
    at = seed_words;
    for (uint32_t left = bare_argument(2, 1000); left > 0; --left) {
        if (*at == 0)
            at = seed_words;
        *(one_case(at + 1, *at, fence, bare_argument(3, 0)) ? &ran : &refused) += 1u;
        at += 1 + *at;
    }
    bare_number(rt_kernels() & 0xFFu);
    bare_text(" ");
    bare_number(seeds);
    bare_text(" ");
    bare_number(ran);
    bare_text(" ");
    bare_number(refused);
    bare_text("\n");
    return 0;
}
