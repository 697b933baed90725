/* Mutated plans against the plan runtime, under AddressSanitizer and UndefinedBehaviorSanitizer.
 *
 * Arguments: a file of valid plans (each: u32 length, bytes), the number of cases, a seed, and optionally
 * "--after-load", which mutates plans once they are loaded, what the contract forbids: the sanitizers must end that
 * run. Plan and arena are heap blocks of exactly their size. On stdout: one line per op, "op accepted refused", of
 * plans whose first node has that op. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_mutate.h"

enum { ARENA_LIMIT = 16384, MAX_SEEDS = 20000 };

static struct {
    uint8_t *data;
    uint32_t bytes;
} seeds[MAX_SEEDS];
static uint32_t seed_count;

static void stop(const char *what)
{
    fprintf(stderr, "plan_fuzz: %s\n", what);
    exit(2);
}

static void read_seeds(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t bytes;
    if (!file)
        stop("cannot open the plans");
    while (seed_count < MAX_SEEDS && fread(&bytes, 4, 1, file) == 1) {
        seeds[seed_count].bytes = bytes;
        seeds[seed_count].data = malloc(bytes);
        if (!seeds[seed_count].data || fread(seeds[seed_count].data, 1, bytes, file) != bytes)
            stop("the file of plans is cut");
        ++seed_count;
    }
    fclose(file);
    if (seed_count == 0)
        stop("no plans");
}

static void run_loaded(const uint8_t *plan, uint8_t *arena)
{
    static uint8_t before[ARENA_LIMIT];
    const plan_header *const header = (const plan_header *)(const void *)plan;
    rt_error error = {0, NULL};
    uint32_t sum = 0;
    memcpy(before, arena, header->arena_bytes);
    /* Random indices may name nothing, and random divisors be 0. */
    const int code = rt_invoke(&error);
    if (code != RT_OK && (code != RT_RUN_FAILED || !error.text || error.detail >= header->node_count))
        stop("a loaded plan did not run");
    if (header->node_count == 1)
        check_writes(plan, before, arena);
    for (uint32_t i = 0; i < rt_input_count(); ++i)
        for (uint32_t at = 0; at < rt_input(i).bytes; ++at)
            sum += rt_input(i).data[at];
    for (uint32_t i = 0; i < rt_output_count(); ++i)
        for (uint32_t at = 0; at < rt_output(i).bytes; ++at)
            sum += rt_output(i).data[at];
    if (sum == 0xFFFFFFFFu) /* so that the reads stay */
        puts("");
}

static int one_case(const uint8_t *seed, uint32_t seed_bytes, int after_load)
{
    static uint32_t work[1 << 16];
    uint32_t count = seed_bytes / 4u;
    memcpy(work, seed, seed_bytes);
    const uint32_t arena_bytes = work[3] < ARENA_LIMIT ? work[3] : ARENA_LIMIT;
    for (uint32_t left = after_load ? 0 : 1u + random_below(3); left > 0; --left)
        mutate(work, &count);
    repair(work, count);
    uint8_t *const plan = malloc(4u * count);
    uint8_t *const arena = malloc(arena_bytes);
    rt_error error = {0, NULL};
    if (!plan || !arena)
        stop("no memory");
    memcpy(plan, work, 4u * count);
    for (uint32_t i = 0; i < arena_bytes; ++i)
        arena[i] = (uint8_t)random_below(256);
    const int code = rt_load(plan, 4u * count, arena, arena_bytes, &error);
    if (code == RT_OK && after_load) {
        for (int i = 0; i < 4; ++i)
            mutate((uint32_t *)(void *)plan, &count);
        count = seed_bytes / 4u;
    }
    if (code == RT_OK)
        run_loaded(plan, arena);
    else if (rt_input_count() + rt_output_count() + rt_arena_used() != 0 || !error.text || !*error.text)
        stop("a refused plan is loaded, or there is no reason");
    if (!after_load && memcmp(plan, work, 4u * count) != 0)
        stop("the plan was written to");
    rt_unload();
    free(plan);
    free(arena);
    return code == RT_OK;
}

int main(int argc, char **argv)
{
    static uint32_t counts[PLAN_FLOAT_END][2];
    if (argc < 4)
        stop("usage: plan_fuzz PLANS CASES SEED [--after-load]");
    const int after_load = argc > 4 && strcmp(argv[4], "--after-load") == 0;
    read_seeds(argv[1]);
    seed_random(strtoull(argv[3], NULL, 10));
    for (unsigned long left = strtoul(argv[2], NULL, 10); left > 0; --left) {
        const uint32_t pick = random_below(seed_count);
        const uint32_t *const words = (const uint32_t *)(const void *)seeds[pick].data;
        const uint32_t op = words[words[5] / 4u] & 0xFFFFu;
        ++counts[op][one_case(seeds[pick].data, seeds[pick].bytes, after_load) ? 0 : 1];
    }
    for (uint32_t op = 1; op < PLAN_FLOAT_END; ++op)
        if (PLAN_HAS(op))
            printf("%u %u %u\n", op, counts[op][0], counts[op][1]);
    return 0;
}
