/* From reset to main(), and the vector table, for every Cortex-M. */
#include "startup.h"

#include "../footprint.h"
#include "layout.h"
#include "fault_vector.h"
#include "registers.h"

int main(void);
void reset_vector(void) __attribute__((noreturn));

/* The chip loads the stack pointer and jumps: the two words that have to be right. A port adds its interrupts in
 * .vectors.port. */
__attribute__((section(".vectors"), used)) static const vector system_vectors[16] = {
    {.stack = __stack_top}, {reset_vector}, {nmi_vector},   {fault_vector}, {fault_vector}, {fault_vector},
    {fault_vector},         {fault_vector}, {fault_vector}, {fault_vector}, {fault_vector}, {fault_vector},
    {fault_vector},         {fault_vector}, {fault_vector}, {fault_vector},
};

static void prepare_core(void)
{
#if __ARM_ARCH >= 7 || defined(__ARM_ARCH_8M_BASE__)
    SCB_VTOR = (uint32_t)system_vectors;
#endif
#ifdef __ARM_FP
    /* Full access to the floating-point unit (on Armv8.1-M also to MVE), before the first instruction that needs it. */
    SCB_CPACR |= 0xFu << 20;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    stack_guard();
}

void reset_vector(void)
{
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end;)
        *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;)
        *to++ = 0;
    prepare_core();
    stack_paint();
    main();
    for (;;) {
    }
}
