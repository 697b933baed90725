/* A board that runs slower than it did: preloaded into its workers, it lets every clock that they time invokes by run faster.
 * All models of the board then take a quarter longer, control cells too, as on a board that throttles. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static const long numerator = 5, denominator = 4;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (failed || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_RAW))
        return failed;
    /* Seconds and nanoseconds apart, so that nothing overflows. */
    long seconds = now->tv_sec * numerator;
    long nanoseconds = now->tv_nsec * numerator / denominator + seconds % denominator * (1000000000L / denominator);
    now->tv_sec = seconds / denominator + nanoseconds / 1000000000L;
    now->tv_nsec = nanoseconds % 1000000000L;
    return 0;
}
