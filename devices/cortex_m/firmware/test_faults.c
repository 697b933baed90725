/* Only in builds for tests (FW_TEST_FAULTS): a request that breaks the firmware in the way it names. No other build has
 * it. */
#include "faults.h"
#include "firmware.h"

#ifdef FW_TEST_FAULTS

enum { UNDEFINED_INSTRUCTION = 1, BAD_ADDRESS = 2, STACK_OVERFLOW = 3, HANG = 4, SILENT_RESET = 5, HANG_NEXT = 6 };

/* No board that QEMU knows has anything here. */
#define NOWHERE 0x2F000000u

static volatile int next_hangs;

void test_hang(void)
{
    while (next_hangs) {
    }
}

__attribute__((noinline)) static uint32_t deeper(uint32_t depth)
{
    volatile uint8_t frame[64];
    frame[depth % sizeof frame] = (uint8_t)depth;
    return depth == 0 ? 0 : deeper(depth - 1) + frame[depth % sizeof frame];
}

void test_fault(const sp_request *request, sp_answer *answer)
{
    switch (sp_get32(request->payload)) {
    case UNDEFINED_INSTRUCTION:
        __builtin_trap();
    case BAD_ADDRESS:
        *(volatile uint32_t *)(uintptr_t)NOWHERE = 1;
        break;
    case STACK_OVERFLOW:
        sp_put32(answer->space, deeper(1u << 20));
        break;
    case HANG:
        port_watchdog(1);
        for (;;) {
        }
    case SILENT_RESET: /* as by a watchdog that resets the chip itself */
        faults_watch(1);
        port_reset();
    case HANG_NEXT: /* the next inference, from within */
        next_hangs = 1;
        break;
    default:
        answer_error(answer, SP_BAD_ARGUMENT, 0, "no such test fault");
    }
}

#else
typedef int test_faults_are_not_in_this_build;
#endif
