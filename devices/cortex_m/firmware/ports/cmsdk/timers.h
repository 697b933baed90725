/* Timer, dual timer and watchdog of Arm's CMSDK (Arm DDI 0479, chapter 4). All count down. */
#ifndef CMSDK_TIMERS_H
#define CMSDK_TIMERS_H

#include <stdint.h>

typedef struct {
    volatile uint32_t control, value, reload, interrupt;
} cmsdk_timer;

typedef struct {
    volatile uint32_t load, value, control, clear, raw, masked, background;
} cmsdk_dual_timer;

typedef struct {
    volatile uint32_t load, value, control, clear, raw, masked;
    uint32_t unused[0x2FA];
    volatile uint32_t lock;
} cmsdk_watchdog;

/* The dual timer's slowest divider, 256, as a power of two. */
#define CMSDK_DUAL_TIMER_SHIFT 8u

/* Round and round through all 32 bits, without an interrupt. */
void cmsdk_timer_start(cmsdk_timer *timer);
void cmsdk_dual_timer_start(cmsdk_dual_timer *timer);

/* Ends in a fault of the kind SP_FAULT_WATCHDOG after so many of its clock's ticks; 0 disarms. More ticks than its 32
 * bits hold are several rounds: an NMI of about 30 instructions after each but the last. One watchdog at a time. */
void cmsdk_watchdog_arm(cmsdk_watchdog *watchdog, uint64_t ticks);

#endif
