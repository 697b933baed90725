/* A program without a board's firmware: start-up, the debugger's calls that QEMU answers (semihosting), and a fence
 * in memory. */
#ifndef TESTS_BARE_H
#define TESTS_BARE_H

#include <stdint.h>

/* Writes to the console of whoever runs QEMU. */
void bare_text(const char *text);
void bare_number(int64_t value);

/* The n-th word of the command line, from 1, as a number; `otherwise` where there is none. */
uint32_t bare_argument(int n, uint32_t otherwise);

void bare_exit(uint32_t code) __attribute__((noreturn));

/* BARE_FENCE_BYTES of memory that nobody may touch begin at the address returned: an access is a fault, which ends the
 * program with code 3. The BARE_FENCED_BYTES before it are free to use: a buffer put there ends at the fence. */
enum { BARE_FENCE_BYTES = 1 << 16, BARE_FENCED_BYTES = 1 << 16 };
int8_t *bare_fence(void);

#endif
