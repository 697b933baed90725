/* Faults and what survives a reset: a block of memory that start-up does not clear, with a checksum that random
 * contents do not have. */
#include "faults.h"

#include "firmware.h"
#include "port.h"

#define MAGIC 0x52544E31u

__attribute__((section(".noinit"))) retained_block retained;

static uint32_t reset_reason;
static uint32_t reporting;

static uint32_t checksum(void)
{
    const uint32_t *words = (const uint32_t *)&retained;
    uint32_t sum = 0x51ED270Bu;
    for (uint32_t i = 0; i < sizeof retained / 4u - 1u; i++)
        sum = (sum ^ words[i]) * 16777619u;
    return sum;
}

static void keep(void)
{
    retained.check = checksum();
}

/* After power-on the block holds anything. */
static void make_valid(void)
{
    if (retained.magic == MAGIC && retained.check == checksum())
        return;
    const retained_block empty = {.magic = MAGIC};
    retained = empty;
}

void faults_start(void)
{
    make_valid();
    reset_reason = retained.armed ? SP_RESET_WATCHDOG : retained.reason;
    /* The fault that led to this start, or none. A watchdog that reset the chip by itself left no registers. */
    if (retained.armed || reset_reason < SP_RESET_FAULT) {
        const sp_fault fault = {.kind = retained.armed ? SP_FAULT_WATCHDOG : SP_FAULT_NONE};
        retained.fault = fault;
    }
    retained.boots++;
    retained.reason = SP_RESET_POWER;
    retained.armed = 0;
    keep();
}

uint32_t faults_boots(void)
{
    return retained.boots;
}

uint32_t faults_reset_reason(void)
{
    return reset_reason;
}

const sp_fault *faults_last(void)
{
    return &retained.fault;
}

void faults_watch(uint32_t armed)
{
    retained.armed = armed;
    keep();
}

void fault_report(const sp_fault *fault)
{
    /* A fault while a fault is told: the record is there, only the line failed. */
    if (!reporting) {
        reporting = 1;
        make_valid();
        retained.fault = *fault;
        retained.reason = fault->kind == SP_FAULT_WATCHDOG ? SP_RESET_WATCHDOG : SP_RESET_FAULT;
        retained.armed = 0;
        keep();
        sp_send_fault(&firmware_session, fault);
    }
    port_reset();
}

void faults_reset(void)
{
    retained.reason = SP_RESET_REQUEST;
    retained.armed = 0;
    keep();
    port_reset();
}
