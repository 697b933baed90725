/* Validation of a plan, part 3: what a node reads and writes lies where it may. */
#include "plan_check.h"

uint32_t plan_times(uint32_t a, uint32_t b)
{
    const uint64_t product = (uint64_t)a * b;
    return product > PLAN_LIMIT ? PLAN_TOO_MANY : (uint32_t)product;
}

uint32_t plan_elements(plan_checker *check, int32_t rank, const int32_t *dims)
{
    uint32_t count = 1;
    for (int32_t d = 0; d < rank; ++d) {
        plan_require(check, dims[d] > 0, "a dimension is 0");
        count = plan_times(count, (uint32_t)dims[d]);
    }
    return count;
}

uint32_t plan_extent(int32_t rank, const int32_t *dims, const int32_t *strides)
{
    uint32_t last = 0;
    for (int32_t d = 0; d < rank; ++d) {
        const uint32_t step = plan_times((uint32_t)dims[d] - 1u, (uint32_t)strides[d]);
        if (step == PLAN_TOO_MANY || last + step > PLAN_LIMIT)
            return PLAN_TOO_MANY;
        last += step;
    }
    return last + 1u;
}

int plan_is_dense(int32_t rank, const int32_t *dims, const int32_t *strides)
{
    uint32_t stride = 1;
    for (int32_t d = rank - 1; d >= 0; --d) {
        if (dims[d] > 1 && (uint32_t)strides[d] != stride)
            return 0;
        stride = plan_times(stride, (uint32_t)dims[d]);
    }
    return 1;
}

/* [start, start + bytes) inside [0, limit). */
static int fits(uint32_t start, uint32_t bytes, uint32_t limit)
{
    return bytes <= limit && start <= limit - bytes;
}

static int overlap(plan_region a, plan_region b)
{
    return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

static plan_region arena_region(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment)
{
    const plan_region none = {0, 0};
    const plan_region region = {operand, bytes};
    if (!fits(operand, bytes, check->header->arena_bytes)) {
        plan_complain(check, "a tensor does not lie inside the arena");
        return none;
    }
    plan_require(check, operand % alignment == 0, "a tensor does not start at a multiple of 4 (of 2 for 16-bit items)");
    return region;
}

void plan_check_output(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment)
{
    plan_require(check, !(operand & PLAN_CONSTANT), "an output does not lie in the arena");
    check->output = arena_region(check, operand, bytes, alignment);
}

void plan_check_scratch(plan_checker *check, uint32_t operand, uint32_t bytes)
{
    if (operand == PLAN_NONE) {
        plan_require(check, bytes == 0, "scratch memory has a size but no place");
        return;
    }
    plan_require(check, !(operand & PLAN_CONSTANT), "scratch memory does not lie in the arena");
    plan_require(check, bytes > 0, "scratch memory has a place but no size");
    check->scratch = arena_region(check, operand, bytes, 4);
    plan_require(check, !overlap(check->scratch, check->output), "scratch memory overlaps the output");
}

static void check_constant(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment)
{
    const uint32_t offset = operand & ~PLAN_CONSTANT;
    const uint32_t start = check->header->constants_offset;
    plan_require(check, operand != PLAN_NONE, "an operand is missing");
    plan_require(check, offset >= start && fits(offset - start, bytes, check->header->constants_bytes),
                 "a constant does not lie inside the plan's constants");
    plan_require(check, offset % alignment == 0, "a constant of 32-bit numbers does not start at a multiple of 4");
}

void plan_check_input(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment, int allowed)
{
    if (operand & PLAN_CONSTANT) {
        check_constant(check, operand, bytes, alignment);
        return;
    }
    const plan_region region = arena_region(check, operand, bytes, alignment);
    plan_require(check, !overlap(region, check->scratch), "scratch memory overlaps an input");
    if (!overlap(region, check->output) || allowed == PLAN_ANY_OVERLAP)
        return;
    plan_require(check, allowed == PLAN_IN_PLACE && region.start == check->output.start,
                 "an output overlaps an input where its op does not allow it");
}

void plan_check_table(plan_checker *check, uint32_t operand, uint32_t count, int32_t low, int32_t high, const char *why)
{
    plan_require(check, operand >= PLAN_CONSTANT, "a table is not a constant");
    plan_check_input(check, operand, plan_times(count, 4), 4, PLAN_APART);
    if (check->why)
        return;
    const int32_t *const table = (const int32_t *)(const void *)(check->plan + (operand & ~PLAN_CONSTANT));
    for (uint32_t i = 0; i < count; ++i)
        plan_require(check, table[i] >= low && table[i] <= high, why);
}
