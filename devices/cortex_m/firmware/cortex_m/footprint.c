/* Code size from the linker, the stack's high-water mark by painting, and the canary at its bottom. */
#include "../footprint.h"

#include "../faults.h"
#include "layout.h"

#define PAINT 0xC5C5C5C5u
/* The frames of stack_paint and of what it calls lie below its own variable. */
#define CLEARANCE_BYTES 64u

static volatile uint32_t *first_painted(void)
{
    return __stack_bottom + STACK_GUARD_BYTES / sizeof(uint32_t);
}

/* The guard's words are left alone: with an MPU they cannot be read. */
void stack_paint(void)
{
    const uint32_t here = 0;
    const uintptr_t end = (uintptr_t)&here - CLEARANCE_BYTES;
    for (volatile uint32_t *word = first_painted(); (uintptr_t)word < end; word++)
        *word = PAINT;
}

uint32_t stack_peak_bytes(void)
{
    const volatile uint32_t *word = first_painted();
    while ((uintptr_t)word < (uintptr_t)__stack_top && *word == PAINT)
        word++;
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

uint32_t stack_bytes(void)
{
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_bottom) - STACK_GUARD_BYTES;
}

void stack_check(void)
{
    if (*first_painted() == PAINT)
        return;
    const sp_fault fault = {.kind = SP_FAULT_STACK, .address = (uint32_t)(uintptr_t)__stack_bottom};
    fault_report(&fault);
}

uint32_t code_bytes(void)
{
    return (uint32_t)(uintptr_t)__code_bytes;
}
