/* What the firmware itself takes: its code, and its stack: how deep it went, and whether it went too deep. The Cortex-M
 * ports share cortex_m/footprint.c; the host port has its own. */
#ifndef FIRMWARE_FOOTPRINT_H
#define FIRMWARE_FOOTPRINT_H

#include <stdint.h>

/* Marks the part that is not in use, from the bottom to a little below the caller; the peak then counts from here on.
 */
void stack_paint(void);

/* Puts the hardware's guard at the bottom, where the core has one (the stack limit of Armv8-M, an MPU region of
 * Armv7-M). */
void stack_guard(void);

/* Bytes that were in use at most since stack_paint, and bytes that there are; 0 where it is not known. */
uint32_t stack_peak_bytes(void);
uint32_t stack_bytes(void);

/* Ends in a stack fault when the words at the very bottom were overwritten: for cores without a guard. */
void stack_check(void);

/* Bytes of text, constants and initialised data; 0 where it is not known. */
uint32_t code_bytes(void);

#endif
