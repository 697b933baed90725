#include "flash.h"

#include <string.h>

#include "cortex_m/registers.h"

#define FLASH_KEYR REGISTER(0x40023C04u)
#define FLASH_SR REGISTER(0x40023C0Cu)
#define FLASH_CR REGISTER(0x40023C10u)

#define KEY_1 0x45670123u
#define KEY_2 0xCDEF89ABu
/* End, operation, write protection, alignment, parallelism, sequence: cleared by writing them. */
enum {
    SR_FLAGS = 1u | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7,
    SR_ERRORS = SR_FLAGS & ~1u,
    SR_BUSY = 1u << 16
};
enum { CR_PROGRAM = 1u, CR_SECTOR_ERASE = 2u, CR_SECTOR_SHIFT = 3, CR_WORDS = 2u << 8, CR_START = 1u << 16 };
#define CR_LOCK (1u << 31)

static void begin(uint32_t control)
{
    while (FLASH_SR & SR_BUSY) {
    }
    if (FLASH_CR & CR_LOCK) {
        FLASH_KEYR = KEY_1;
        FLASH_KEYR = KEY_2;
    }
    FLASH_SR = SR_FLAGS;
    FLASH_CR = control;
}

static int done(void)
{
    __asm volatile("dsb" ::: "memory");
    while (FLASH_SR & SR_BUSY) {
    }
    return (FLASH_SR & SR_ERRORS) == 0;
}

static int end(int good)
{
    FLASH_CR = CR_LOCK;
    return good;
}

int flash_erase_sector(uint32_t sector)
{
    const uint32_t control = CR_SECTOR_ERASE | sector << CR_SECTOR_SHIFT | CR_WORDS;
    begin(control);
    FLASH_CR = control | CR_START;
    return end(done());
}

/* Words where they lie aligned (2.7 to 3.6 V), single bytes at ragged ends. */
int flash_write(uint8_t *at, const uint8_t *data, uint32_t count)
{
    while (count > 0) {
        const int words = (uintptr_t)at % 4u == 0 && count >= 4u;
        const uint32_t step = words ? 4u : 1u;
        begin(CR_PROGRAM | (words ? (uint32_t)CR_WORDS : 0u));
        if (words) {
            uint32_t value;
            memcpy(&value, data, sizeof value);
            *(volatile uint32_t *)(void *)at = value;
        } else {
            *(volatile uint8_t *)at = *data;
        }
        if (!done())
            return end(0);
        at += step;
        data += step;
        count -= step;
    }
    return end(1);
}
