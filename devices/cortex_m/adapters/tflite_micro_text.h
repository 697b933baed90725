/* What TFLite Micro prints, and how it gives up: caught here, so that both become an answer to the host.
 *
 * The library reports through DebugLog and ends in abort() or a failed assert(). This file's functions of those names
 * are linked in place of the library's and the C library's.
 */
#ifndef CORTEX_M_TFLITE_MICRO_TEXT_H
#define CORTEX_M_TFLITE_MICRO_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define TFLM_TEXT_BYTES 121u /* an ERROR frame carries 120 bytes */
#define TFLM_NO_NODE 0xFFFFu

/* Forgets what was printed. */
void tflm_text_clear(void);

/* Appends printf-like text; what does not fit is cut. Knows %d %i %u %x %p %s %c %f %g and lengths; no field widths. */
void tflm_text_add(const char *format, ...);

/* What was printed since the last clear, its lines joined by "; ", or `otherwise` when there was nothing. Valid until
 * then. */
const char *tflm_text(const char *otherwise);

/* The node that is to blame: as set, or as a message named it; else TFLM_NO_NODE. */
uint16_t tflm_text_node(void);
void tflm_text_set_node(uint16_t index);

/* Whether a message says that the arena is too small. */
int tflm_text_says_too_large(void);

/* Calls work(argument). Returns its value; or `stopped` when the library gave up meanwhile, which leaves its objects
 * unusable. Not to be nested. */
int tflm_guarded(int (*work)(void *argument), void *argument, int stopped);

/* Formats into `buffer` like vsnprintf, and returns what that returns. */
int tflm_format(char *buffer, size_t bytes, const char *format, va_list arguments);

#endif
