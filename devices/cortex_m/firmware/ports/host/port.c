/* The firmware as a process: the line is the descriptor in FIRMWARE_FD, or else a new pseudo-terminal whose name is
 * printed. A reset runs the program again, with the line still open and the retained block handed over; closing the
 * line ends it. POSIX and Linux. */
#define _GNU_SOURCE
#include "../../port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../../faults.h"
#include "../../footprint.h"
#include "../../watch.h"

#define MODEL_BYTES (4u << 20)
#ifndef ARENA_BYTES
#define ARENA_BYTES (4u << 20)
#endif
#define SAMPLE_BYTES (12u << 20)
#define LINE_VARIABLE "FIRMWARE_FD"
#define RETAINED_VARIABLE "FIRMWARE_RETAINED_FD"

static _Alignas(16) uint8_t model[MODEL_BYTES], arena[ARENA_BYTES], samples[SAMPLE_BYTES];
static int line = -1;
static uint8_t buffer[65536];
static size_t buffered, taken;

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static int number_of(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : -1;
}

static void set_number(const char *variable, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv(variable, text, 1);
}

static int open_terminal(void)
{
    struct termios settings;
    const int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0 || grantpt(fd) || unlockpt(fd))
        fail("pseudo-terminal");
    /* Held open here too: a host that closes the terminal and opens it again finds the board still there. */
    const int other = open(ptsname(fd), O_RDWR | O_NOCTTY);
    if (other < 0 || tcgetattr(other, &settings))
        fail(ptsname(fd));
    cfmakeraw(&settings);
    tcsetattr(other, TCSANOW, &settings);
    puts(ptsname(fd));
    fflush(stdout);
    return fd;
}

static void take_over_retained(void)
{
    const int fd = number_of(RETAINED_VARIABLE);
    if (fd < 0)
        return;
    if (pread(fd, &retained, sizeof retained, 0) != (ssize_t)sizeof retained)
        fail("retained block");
    close(fd);
    unsetenv(RETAINED_VARIABLE);
}

static void on_signal(int number)
{
    if (number == SIGALRM && watch_goes_on())
        return;
    const sp_fault fault = {.kind = number == SIGALRM                       ? SP_FAULT_WATCHDOG
                                    : number == SIGILL || number == SIGTRAP ? SP_FAULT_USAGE
                                                                            : SP_FAULT_MEMORY};
    fault_report(&fault);
}

const port_facts *port_init(void)
{
    static const port_facts facts = {.board = FW_BOARD,
                                     .core = FW_CORE,
                                     .clock_hz = 1000000000u,
                                     .tick_hz = 1000000000u,
                                     .tick_unit = 1,
                                     .model = model,
                                     .model_bytes = MODEL_BYTES,
                                     .arena = arena,
                                     .arena_bytes = ARENA_BYTES,
                                     .samples = samples,
                                     .sample_bytes = SAMPLE_BYTES};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGALRM};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaction(faults[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    take_over_retained();
    line = number_of(LINE_VARIABLE);
    if (line < 0)
        line = open_terminal();
    return &facts;
}

int port_read(void)
{
    if (taken == buffered) {
        const ssize_t count = read(line, buffer, sizeof buffer);
        if (count == 0)
            exit(0);
        if (count < 0) {
            struct pollfd ready = {.fd = line, .events = POLLIN};
            if (errno != EAGAIN && errno != EINTR)
                fail("line");
            poll(&ready, 1, -1);
            return -1;
        }
        buffered = (size_t)count;
        taken = 0;
    }
    return buffer[taken++];
}

void port_write(const uint8_t *data, uint32_t count)
{
    while (count != 0) {
        const ssize_t sent = write(line, data, count);
        if (sent > 0) {
            data += sent;
            count -= (uint32_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            struct pollfd ready = {.fd = line, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else {
            _exit(1); /* nobody listens any more */
        }
    }
}

uint64_t port_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void port_reset(void)
{
    char path[4096];
    const int fd = memfd_create("retained", 0);
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (fd < 0 || length < 0 || pwrite(fd, &retained, sizeof retained, 0) != (ssize_t)sizeof retained)
        fail("reset");
    path[length] = 0;
    set_number(RETAINED_VARIABLE, fd);
    set_number(LINE_VARIABLE, line);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    port_watchdog(0);
    execl(path, path, (char *)NULL);
    fail(path);
}

int port_watchdog(uint32_t ms)
{
    const struct itimerval timer = {.it_value = {.tv_sec = ms / 1000u, .tv_usec = (suseconds_t)(ms % 1000u) * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    return 1;
}

/* ---- footprint.h: a process has another stack ---------------------------------------------------------------- */

void stack_paint(void)
{
}

void stack_guard(void)
{
}

uint32_t stack_peak_bytes(void)
{
    return 0;
}

uint32_t stack_bytes(void)
{
    return 0;
}

void stack_check(void)
{
}

uint32_t code_bytes(void)
{
    return 0;
}
