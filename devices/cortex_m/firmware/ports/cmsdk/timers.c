#include "timers.h"

#include <stddef.h>

enum { TIMER_ENABLE = 1u };
enum { DUAL_32_BITS = 2u, DUAL_BY_256 = 2u << 2, DUAL_ENABLE = 1u << 7 };
enum { WATCHDOG_INTERRUPT = 1u };
#define WATCHDOG_UNLOCK 0x1ACCE551u

_Static_assert(offsetof(cmsdk_watchdog, lock) == 0xC00, "the watchdog's lock register");

void cmsdk_timer_start(cmsdk_timer *timer) {
    timer->control = 0;
    timer->reload = 0xFFFFFFFFu;
    timer->value = 0xFFFFFFFFu;
    timer->control = TIMER_ENABLE;
}

void cmsdk_dual_timer_start(cmsdk_dual_timer *timer) {
    timer->control = 0;
    timer->load = 0xFFFFFFFFu;
    timer->control = DUAL_32_BITS | DUAL_BY_256 | DUAL_ENABLE;
}

void cmsdk_watchdog_arm(cmsdk_watchdog *watchdog, uint64_t ticks) {
    watchdog->lock = WATCHDOG_UNLOCK;
    watchdog->control = 0;
    watchdog->clear = 1u;
    if (ticks != 0) {
        watchdog->load = ticks > 0xFFFFFFFFu ? 0xFFFFFFFFu : (uint32_t)ticks;
        /* Without the device's own reset at the second expiry: its counter goes on while it is disarmed (QEMU's always, and the
         * expiries of an idle board add up), so that the next arming would reset at once. The interrupt ends in a reset as well. */
        watchdog->control = WATCHDOG_INTERRUPT;
    }
    watchdog->lock = 0;
}
