/* The hardware's guard below the stack, where the core has one. */
#include "../footprint.h"

#include "layout.h"
#include "registers.h"

void stack_guard(void)
{
#if __ARM_ARCH >= 7
    SCB_SHCSR |= SHCSR_FAULTS_ENABLED;
#endif
#if __ARM_ARCH >= 8
    __asm volatile("msr msplim, %0" ::"r"(__stack_bottom));
#elif __ARM_ARCH >= 7
    if (((MPU_TYPE >> 8) & 0xFFu) == 0)
        return;
    /* Region 0: 2^(4 + 1) = STACK_GUARD_BYTES without any access, never executed; everything else as without an MPU. */
    MPU_RBAR = (uint32_t)__stack_bottom | 0x10u;
    MPU_RASR = (1u << 28) | (4u << 1) | 1u;
    MPU_CTRL = 5u;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
}
