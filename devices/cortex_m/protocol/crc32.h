/* CRC-32 as in zlib: of frames, and of plans. crc32.c needs nothing else of this folder. */
#ifndef CORTEX_M_CRC32_H
#define CORTEX_M_CRC32_H

#include <stdint.h>

/* `crc` is 0, or the result for the bytes before. */
uint32_t sp_crc32(uint32_t crc, const uint8_t *bytes, uint32_t count);

#endif
