/* What ends the firmware: told to the host at once, kept over the reset for the next HELLO. */
#ifndef FIRMWARE_FAULTS_H
#define FIRMWARE_FAULTS_H

#include <stdint.h>

#include "../protocol/protocol.h"

/* What a reset leaves alone. The host port carries these bytes over itself. */
typedef struct {
    uint32_t magic;
    uint32_t boots;
    uint32_t reason; /* enum sp_reset_reason of the reset that comes next */
    uint32_t armed;  /* a watchdog */
    sp_fault fault;
    uint32_t check; /* of all words before it */
} retained_block;

extern retained_block retained;

/* Reads what the last reset left behind. Once, before anything here is used. */
void faults_start(void);

uint32_t faults_boots(void);        /* since power-on, this one included */
uint32_t faults_reset_reason(void); /* enum sp_reset_reason */
const sp_fault *faults_last(void);  /* that ended the firmware before this start; all zeros: none did */

/* Sends FAULT, keeps the record, resets the chip. Works without interrupts and from any exception. */
void fault_report(const sp_fault *fault) __attribute__((noreturn));

/* Resets because the host asked for it. */
void faults_reset(void) __attribute__((noreturn));

/* Between 1 and 0 a reset that nobody explains was the watchdog's. */
void faults_watch(uint32_t armed);

#endif
