/* A stand-in for tests: where the library's messages go. */
#ifndef STAND_IN_DEBUG_LOG_H
#define STAND_IN_DEBUG_LOG_H

#include <stdarg.h>
#include <stddef.h>

extern "C" {
void DebugLog(const char *format, va_list arguments);
int DebugVsnprintf(char *buffer, size_t bytes, const char *format, va_list arguments);
}

#endif
