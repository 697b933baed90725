/* What the stand-in tells (stderr, a line at a time, read by harness/tflite/delegates/log.py) and how it waits. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "npu.h"

void npu_log(const char *format, ...)
{
    char line[NPU_PATH_BYTES + 512] = NPU_NAME ": ";
    const size_t start = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(line + start, sizeof line - start - 1, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return;
    /* One write, so that lines of several processes do not mix. If stderr is gone there is nobody to tell. */
    strcat(line, "\n");
    const ssize_t written = write(STDERR_FILENO, line, strlen(line));
    (void)written;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void npu_wait_us(int64_t microseconds)
{
    /* A sleep may be late by this much; the rest is spun out. */
    const int64_t late_ns = 200000;
    const int64_t end_ns = now_ns() + microseconds * 1000;
    for (int64_t left_ns = end_ns - now_ns(); left_ns > late_ns; left_ns = end_ns - now_ns()) {
        const int64_t nap_ns = left_ns - late_ns;
        const struct timespec nap = {(time_t)(nap_ns / 1000000000), (long)(nap_ns % 1000000000)};
        nanosleep(&nap, NULL);
    }
    while (now_ns() < end_ns) {
    }
}
