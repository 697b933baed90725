/* The flash of STM32F4 chips (RM0390, chapter 3). */
#ifndef EXAMPLE_FLASH_H
#define EXAMPLE_FLASH_H

#include <stdint.h>

/* Each returns 1, or 0 when the controller reports an error: a protected sector, or bytes that were not erased. Its
 * caches stay off, as they are after a reset, so that nothing reads what was there before. */
int flash_erase_sector(uint32_t sector);
int flash_write(uint8_t *at, const uint8_t *data, uint32_t count);

#endif
