#include "timers.h"

#include <stddef.h>

#include "../../cortex_m/fault_vector.h"
#include "../../watch.h"

enum { TIMER_ENABLE = 1u };
enum { DUAL_32_BITS = 2u, DUAL_BY_256 = 2u << 2, DUAL_ENABLE = 1u << 7 };
enum { WATCHDOG_INTERRUPT = 1u };
#define WATCHDOG_UNLOCK 0x1ACCE551u
/* Of one round; tests define less. */
#ifndef CMSDK_WATCHDOG_ROUND
#define CMSDK_WATCHDOG_ROUND 0xFFFFFFFFu
#endif

_Static_assert(offsetof(cmsdk_watchdog, lock) == 0xC00, "the watchdog's lock register");

void cmsdk_timer_start(cmsdk_timer *timer)
{
    timer->control = 0;
    timer->reload = 0xFFFFFFFFu;
    timer->value = 0xFFFFFFFFu;
    timer->control = TIMER_ENABLE;
}

void cmsdk_dual_timer_start(cmsdk_dual_timer *timer)
{
    timer->control = 0;
    timer->load = 0xFFFFFFFFu;
    timer->control = DUAL_32_BITS | DUAL_BY_256 | DUAL_ENABLE;
}

static cmsdk_watchdog *armed;
static uint64_t ticks_left; /* after the round under way */

static void start_round(cmsdk_watchdog *watchdog, uint64_t ticks)
{
    const uint32_t round = ticks > CMSDK_WATCHDOG_ROUND ? CMSDK_WATCHDOG_ROUND : (uint32_t)ticks;
    watchdog->load = round;
    ticks_left = ticks - round;
}

/* From the NMI: whether the inference goes on. The next round has begun then. */
__attribute__((used)) static uint32_t watchdog_goes_on(void)
{
    if (!armed)
        return 0;
    if (ticks_left == 0)
        return watch_goes_on();
    /* As it was found: the NMI may come right before cmsdk_watchdog_arm writes. */
    const uint32_t locked = armed->lock & 1u;
    armed->lock = WATCHDOG_UNLOCK;
    start_round(armed, ticks_left);
    armed->clear = 1u;
    if (locked)
        armed->lock = 0;
    return 1;
}

/* As watchdog_vector of cortex_m/fault_vector.c, with rounds before. */
__attribute__((naked)) void nmi_vector(void)
{
    __asm volatile("   push {r4, lr}           \n"
                   "   bl   watchdog_goes_on   \n"
                   "   pop  {r4, lr}           \n"
                   "   cmp  r0, #0             \n"
                   "   beq  1f                 \n"
                   "   dsb                     \n" /* the request is gone before the handler is left */
                   "   bx   lr                 \n"
                   "1: ldr  r0, =fault_vector  \n"
                   "   bx   r0                 \n"
                   "   .ltorg                  \n");
}

void cmsdk_watchdog_arm(cmsdk_watchdog *watchdog, uint64_t ticks)
{
    /* As it was found: watch_goes_on arms from the NMI, which may come in the middle of this. */
    const uint32_t locked = watchdog->lock & 1u;
    watchdog->lock = WATCHDOG_UNLOCK;
    watchdog->control = 0;
    watchdog->clear = 1u;
    armed = ticks != 0 ? watchdog : NULL;
    if (ticks != 0) {
        start_round(watchdog, ticks);
        /* Without the device's own reset at the second expiry: its counter goes on while it is disarmed (QEMU's always,
         * and the expiries of an idle board add up), so that the next arming would reset at once. The interrupt ends in
         * a reset as well. */
        watchdog->control = WATCHDOG_INTERRUPT;
    }
    if (locked)
        watchdog->lock = 0;
}
