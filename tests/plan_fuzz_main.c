/* Mutated plans against the plan runtime, under AddressSanitizer and UndefinedBehaviorSanitizer.
 *
 * Arguments: a file of valid plans (each: u32 length, bytes), the number of cases, a seed, and optionally "--after-load", which mutates
 * plans once they are loaded, what the contract forbids: the sanitizers must end that run. Plan and arena are heap blocks of exactly their
 * size. On stdout: one line per op, "op accepted refused", of plans whose first node has that op. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_check.h"

enum { HEADER_WORDS = 16, CRC_WORD = 12, ARENA_LIMIT = 16384, MAX_SEEDS = 20000 };

static struct {
    uint8_t *data;
    uint32_t bytes;
} seeds[MAX_SEEDS];
static uint32_t seed_count;
static uint64_t state;

static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(((state >> 32) * limit) >> 32);
}

static uint32_t crc32(const uint8_t *data, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

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

static uint32_t any_value(uint32_t old, const uint32_t *words, uint32_t count)
{
    static const uint32_t edges[] = {0,      1,      2,          3,          4,          7,          8,          15,         16,
                                     20,     30,     31,         32,         33,         127,        128,        129,        255,
                                     256,    4095,   4096,       32767,      32768,      65535,      65536,      0x00800000, 0x3FFFFFFF,
                                     0x40000000,     0x40000001, 0x7F7FFFFF, 0x7F800000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFF80,
                                     0xFFFFFFF1, 0xFFFFFFFE,     0xFFFFFFFF};
    switch (random_below(8)) {
    case 0:
        return edges[random_below(sizeof edges / sizeof *edges)];
    case 1:
        return old + 1u + random_below(4);
    case 2:
        return old - 1u - random_below(4);
    case 3:
        return old ^ (1u << random_below(32));
    case 4:
        return words[random_below(count)];
    case 5:
        return random_below(2) ? old * 2u : old / 2u;
    case 6:
        return 0u - old;
    default:
        return (uint32_t)(random_below(65536) << 16 | random_below(65536)) >> random_below(32);
    }
}

/* Mostly words of nodes; now and then the tables and constants, the header, or the length of the plan. */
static void mutate(uint32_t *words, uint32_t *count)
{
    const uint32_t nodes = words[5] / 4u;
    const uint32_t node_words = words[6] / 4u;
    const uint32_t kind = random_below(16);
    if (kind == 0) {
        const uint32_t at = random_below(HEADER_WORDS);
        words[at] = any_value(words[at], words, *count);
    } else if (kind <= 2) {
        const uint32_t at = HEADER_WORDS + random_below(*count - HEADER_WORDS);
        words[at] = any_value(words[at], words, *count);
    } else if (kind == 3 && *count > HEADER_WORDS + 1u) {
        *count -= 1u + random_below(*count - HEADER_WORDS - 1u);
        if (random_below(2))
            words[2] = 4u * *count;
    } else if (nodes >= HEADER_WORDS && nodes < *count && node_words > 0 && node_words <= *count - nodes) {
        const uint32_t at = nodes + random_below(node_words);
        words[at] = any_value(words[at], words, *count);
    }
}

/* What a plan of one node may write: its output and its scratch. Everything else of the arena is as it was. */
static void check_writes(const uint8_t *plan, const uint8_t *before, const uint8_t *arena)
{
    const plan_header *const header = (const plan_header *)(const void *)plan;
    plan_checker check = {plan, header, {0, 0}, {0, 0}, NULL};
    plan_check_node(&check, (const uint32_t *)(const void *)(plan + header->nodes_offset));
    for (uint32_t i = 0; i < header->arena_bytes; ++i)
        if (before[i] != arena[i] && i - check.output.start >= check.output.bytes && i - check.scratch.start >= check.scratch.bytes)
            stop("a node wrote beside its output");
}

static void run_loaded(const uint8_t *plan, uint8_t *arena)
{
    static uint8_t before[ARENA_LIMIT];
    const plan_header *const header = (const plan_header *)(const void *)plan;
    rt_error error = {0, NULL};
    uint32_t sum = 0;
    memcpy(before, arena, header->arena_bytes);
    if (rt_invoke(&error) != RT_OK)
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
    if (random_below(50) != 0)
        work[CRC_WORD] = crc32((const uint8_t *)(work + HEADER_WORDS), 4u * (count - HEADER_WORDS));
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
    static uint32_t counts[PLAN_OPS][2];
    if (argc < 4)
        stop("usage: plan_fuzz PLANS CASES SEED [--after-load]");
    const int after_load = argc > 4 && strcmp(argv[4], "--after-load") == 0;
    read_seeds(argv[1]);
    state = strtoull(argv[3], NULL, 10) * 0x9E3779B97F4A7C15u + 1u;
    for (unsigned long left = strtoul(argv[2], NULL, 10); left > 0; --left) {
        const uint32_t pick = random_below(seed_count);
        const uint32_t *const words = (const uint32_t *)(const void *)seeds[pick].data;
        const uint32_t op = words[words[5] / 4u] & 0xFFFFu;
        ++counts[op][one_case(seeds[pick].data, seeds[pick].bytes, after_load) ? 0 : 1];
    }
    for (uint32_t op = 1; op < PLAN_OPS; ++op)
        printf("%u %u %u\n", op, counts[op][0], counts[op][1]);
    return 0;
}
