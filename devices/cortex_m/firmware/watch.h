/* The watchdog of an inference: work is told from a hang by what it writes into the arena. Nothing of it runs before
 * the deadline has passed, so that no count of an inference that ends in time has anything of it. */
#ifndef FIRMWARE_WATCH_H
#define FIRMWARE_WATCH_H

#include <stdint.h>

/* Behind its deadline an inference is looked at so often in a deadline's time, and for so long at most. When it changed
 * nothing for another deadline it hangs: not sooner, because a layer that is run again may write what is there already,
 * and one of many inputs writes nothing for a while. */
#define WATCH_CHECKS 8u
#define WATCH_DEADLINES 100u
#define WATCH_LEAST_MS 100u

typedef struct {
    uint32_t ms;       /* 0: no limit */
    int while_working; /* it may take longer as long as it changes the arena */
} watch_deadline;

/* Around an inference. watch_end returns the ticks that the checks took of it. */
void watch_begin(watch_deadline deadline);
uint64_t watch_end(void);

/* The same since watch_begin, at any time. */
uint64_t watch_ticks(void);

/* From the watchdog's interrupt: 1 when the inference goes on, with the watchdog armed anew; 0: it hangs, or its time
 * is over. cortex_m/fault_vector.h has the vector that calls it. */
uint32_t watch_goes_on(void);

#endif
