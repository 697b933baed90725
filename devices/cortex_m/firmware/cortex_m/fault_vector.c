/* Exceptions that end the firmware: finds out which, where and why, then reports (faults.h). */
#include "fault_vector.h"

#include "../faults.h"
#include "layout.h"
#include "registers.h"

enum { NMI = 2, HARD_FAULT = 3, MEMORY_FAULT = 4, BUS_FAULT = 5, USAGE_FAULT = 6, FIRST_INTERRUPT = 16 };
enum { FRAME_LR = 5, FRAME_PC = 6, FRAME_WORDS = 8 }; /* what the chip pushes: r0-r3, r12, lr, pc, xpsr */

__attribute__((noreturn, used)) static void fault_taken(const uint32_t *frame, uint32_t number)
{
    sp_fault fault = {.kind = SP_FAULT_HARD};
    const uintptr_t at = (uintptr_t)frame;
    /* Not at the very bottom: there Armv8-M leaves the pointer when its limit kept the frame from being written. */
    const int frame_lies_in_stack =
        at % 4u == 0 && at > (uintptr_t)__stack_bottom && at + FRAME_WORDS * 4u <= (uintptr_t)__stack_top;
    if (frame_lies_in_stack) {
        fault.pc = frame[FRAME_PC];
        fault.lr = frame[FRAME_LR];
    }
#if __ARM_ARCH >= 7
    fault.status = SCB_CFSR;
    if (fault.status & CFSR_MMARVALID)
        fault.address = SCB_MMFAR;
    if (fault.status & CFSR_BFARVALID)
        fault.address = SCB_BFAR;
    const int in_guard =
        (fault.status & CFSR_MMARVALID) && fault.address - (uintptr_t)__stack_bottom < STACK_GUARD_BYTES;
    const int overflow = (fault.status & (CFSR_MSTKERR | CFSR_STKERR | CFSR_STKOF)) || in_guard;
#else
    const int overflow = 0; /* Armv6-M tells no reason; stack_check() finds an overflow by its canary */
#endif
    if (number == NMI || number >= FIRST_INTERRUPT)
        fault.kind = SP_FAULT_WATCHDOG;
    else if (overflow || !frame_lies_in_stack)
        fault.kind = SP_FAULT_STACK;
    else if (number == MEMORY_FAULT)
        fault.kind = SP_FAULT_MEMORY;
    else if (number == BUS_FAULT)
        fault.kind = SP_FAULT_BUS;
    else if (number == USAGE_FAULT)
        fault.kind = SP_FAULT_USAGE;
    fault_report(&fault);
}

/* Not one word is pushed: the stack may be what is broken. It goes on with a small one of its own. */
__attribute__((naked)) void fault_vector(void)
{
    __asm volatile("   mrs  r0, msp            \n"
                   "   mrs  r1, ipsr           \n"
#if __ARM_ARCH >= 8
                   "   movs r2, #0             \n"
                   "   msr  msplim, r2         \n"
#endif
                   "   ldr  r2, =__fault_stack_top \n"
                   "   mov  sp, r2             \n"
                   "   bl   fault_taken        \n"
                   "   .ltorg                  \n");
}

/* fault_vector takes the stack as the chip left it. */
__attribute__((naked)) void watchdog_vector(void)
{
    __asm volatile("   push {r4, lr}           \n"
                   "   bl   watch_goes_on      \n"
                   "   pop  {r4}               \n"
                   "   pop  {r1}               \n"
                   "   mov  lr, r1             \n"
                   "   cmp  r0, #0             \n"
                   "   beq  1f                 \n"
                   "   dsb                     \n" /* the request is gone before the handler is left */
                   "   bx   lr                 \n"
                   "1: ldr  r0, =fault_vector  \n"
                   "   bx   r0                 \n"
                   "   .ltorg                  \n");
}

void nmi_vector(void) __attribute__((weak, alias("watchdog_vector")));
