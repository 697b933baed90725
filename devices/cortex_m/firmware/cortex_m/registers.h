/* The registers of the Armv6-M to Armv8-M architecture that this firmware touches (Arm DDI 0403E and 0553B, chapter B3
 * and D1). */
#ifndef CORTEX_M_REGISTERS_H
#define CORTEX_M_REGISTERS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CPACR REGISTER(0xE000ED88u)

#define SHCSR_FAULTS_ENABLED (7u << 16) /* memory, bus and usage faults by their own names, not as hard faults */
#define CFSR_MSTKERR (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_STKERR (1u << 12)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_STKOF (1u << 20) /* Armv8-M: the stack limit was met */

#define MPU_TYPE REGISTER(0xE000ED90u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)

#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)

#define NVIC_ENABLE(n) REGISTER(0xE000E100u + 4u * ((n) / 32u))
#define NVIC_DISABLE(n) REGISTER(0xE000E180u + 4u * ((n) / 32u))

static inline void interrupt_enable(uint32_t number)
{
    NVIC_ENABLE(number) = 1u << (number % 32u);
}

static inline void interrupt_disable(uint32_t number)
{
    NVIC_DISABLE(number) = 1u << (number % 32u);
    __asm volatile("dsb\n isb" ::: "memory");
}

/* Sleeps until an interrupt, unless `ready` is not 0 when interrupts are off: nothing slips in between. */
#define SLEEP_UNLESS(ready)                                                                                            \
    do {                                                                                                               \
        __asm volatile("cpsid i" ::: "memory");                                                                        \
        if (!(ready))                                                                                                  \
            __asm volatile("wfi");                                                                                     \
        __asm volatile("cpsie i" ::: "memory");                                                                        \
    } while (0)

/* Asks the chip for a reset and waits for it. */
__attribute__((noreturn)) static inline void system_reset(void)
{
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = 0x05FA0004u;
    __asm volatile("dsb" ::: "memory");
    for (;;) {
    }
}

#endif
