/* What the firmware's files share. */
#ifndef FIRMWARE_FIRMWARE_H
#define FIRMWARE_FIRMWARE_H

#include "../protocol/protocol.h"
#include "port.h"

extern const port_facts *firmware_facts; /* from port_init */
extern sp_session firmware_session;
extern const char firmware_build[];

/* commands.c: executes one request (an sp_handle). */
void commands_handle(void *context, const sp_request *request, sp_answer *answer);

/* A reset was asked for; it follows the answer. */
int commands_reset_wanted(void);

/* Fills in an error: the code, the text, and the node or other detail. */
void answer_error(sp_answer *answer, uint16_t code, uint16_t detail, const char *text);

#ifdef FW_TEST_FAULTS
/* test_faults.c, only in builds for tests: provokes a fault of the kind that the payload names. */
#define TEST_FAULT_TYPE 0x70
void test_fault(const sp_request *request, sp_answer *answer);
/* Hangs where an inference would run, when that was asked for. */
void test_hang(void);
#else
static inline void test_hang(void)
{
}
#endif

#endif
