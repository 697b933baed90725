/* Mutations of plans, for the fuzzers on the host and on emulated cores. They say what stop() means. */
#ifndef TESTS_PLAN_MUTATE_H
#define TESTS_PLAN_MUTATE_H

#include <stddef.h>

#include "plan_check.h"

enum { HEADER_WORDS = 16, CRC_WORD = 12 };

static uint64_t state;

/* Ends the program: what it proves does not hold. */
static void stop(const char *what);

static void seed_random(uint64_t seed)
{
    state = seed * 0x9E3779B97F4A7C15u + 1u;
}

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

static uint32_t any_value(uint32_t old, const uint32_t *words, uint32_t count)
{
    static const uint32_t edges[] = {0,          1,          2,          3,          4,          7,          8,
                                     15,         16,         20,         30,         31,         32,         33,
                                     127,        128,        129,        255,        256,        4095,       4096,
                                     32767,      32768,      65535,      65536,      0x00800000, 0x3FFFFFFF, 0x40000000,
                                     0x40000001, 0x7F7FFFFF, 0x7F800000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFF80,
                                     0xFFFFFFF1, 0xFFFFFFFE, 0xFFFFFFFF};
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

/* Gives the plan the CRC-32 that belongs to it, but for one in fifty. */
static void repair(uint32_t *words, uint32_t count)
{
    if (random_below(50) != 0)
        words[CRC_WORD] = crc32((const uint8_t *)(words + HEADER_WORDS), 4u * (count - HEADER_WORDS));
}

/* What a plan of one node may write: its output and its scratch. Everything else of the arena is as it was. */
static void check_writes(const uint8_t *plan, const uint8_t *before, const uint8_t *arena)
{
    const plan_header *const header = (const plan_header *)(const void *)plan;
    plan_checker check = {plan, header, {0, 0}, {0, 0}, NULL};
    plan_check_node(&check, (const uint32_t *)(const void *)(plan + header->nodes_offset));
    for (uint32_t i = 0; i < header->arena_bytes; ++i)
        if (before[i] != arena[i] && i - check.output.start >= check.output.bytes &&
            i - check.scratch.start >= check.scratch.bytes)
            stop("a node wrote beside its output");
}

#endif
