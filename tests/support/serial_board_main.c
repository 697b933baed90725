/* The board of serial_board.h behind a serial line of a given rate: serial_board_main DESCRIPTOR BAUD LATENCY_US
 *
 * Both directions carry one byte in ten bit times, never faster and with nothing saved up while idle. The board has a
 * receive buffer of SP_WINDOW frames, as the firmware has; it works LATENCY_US for every frame that it answers, and
 * what comes meanwhile waits there. At the end (the line is closed) it prints how many bytes found the buffer full, and
 * how many came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "serial_board.h"

#define RING (SP_WINDOW * SP_ENCODED_BYTES)
#define OUT_BYTES (1 << 20)

static uint8_t ring[RING], out[OUT_BYTES];
static uint32_t ring_head, ring_used, out_head, out_used;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void answer(void *context, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    if (count > OUT_BYTES - out_used)
        abort();
    memcpy(out + out_used, bytes, count);
    out_used += count;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    int line = atoi(words[1]);
    int64_t byte_ns = 10000000000LL / atoi(words[2]), latency_ns = 1000LL * atoi(words[3]);
    static board b;
    board_start(&b, SP_RESET_POWER, answer, NULL);
    uint8_t arriving[64];
    uint32_t arriving_count = 0;
    uint64_t lost = 0, total = 0;
    int up_idle = 1, down_idle = 1;
    int64_t arrives = 0, up_free = 0, down_free = 0, busy = 0;
    for (int open = 1; open;) {
        int64_t now = now_ns(), next = now + 50000000;
        /* up: a few bytes are on the wire until `arrives` */
        if (arriving_count && now >= arrives) {
            total += arriving_count;
            for (uint32_t i = 0; i < arriving_count; i++) {
                if (ring_used == RING) {
                    lost++;
                } else {
                    ring[(ring_head + ring_used++) % RING] = arriving[i];
                }
            }
            up_free = arrives;
            arriving_count = 0;
        }
        if (!arriving_count) {
            struct pollfd ready = {.fd = line, .events = POLLIN};
            if (poll(&ready, 1, 0) <= 0) {
                up_idle = 1;
            } else {
                ssize_t got = read(line, arriving, sizeof arriving);
                if (got <= 0 && errno != EAGAIN)
                    open = 0;
                if (got > 0) {
                    arriving_count = (uint32_t)got;
                    /* Bytes that were there when the last ones had passed follow them at once, however late this
                     * process is; a line that was found empty meanwhile begins anew. */
                    arrives = (up_idle ? now : up_free) + got * byte_ns;
                    up_idle = 0;
                } else {
                    up_idle = 1;
                }
            }
        }
        /* the board */
        while (ring_used && now >= busy) {
            uint32_t before = b.session.frames_good;
            board_feed(&b, ring + ring_head, 1);
            ring_head = (ring_head + 1) % RING;
            ring_used--;
            if (b.session.frames_good != before)
                busy = now + latency_ns; /* its answer leaves only then */
        }
        /* down */
        if (out_used && now >= busy && now >= down_free) {
            uint32_t part = out_used - out_head < 64 ? out_used - out_head : 64;
            ssize_t put = write(line, out + out_head, part);
            if (put < 0 && errno != EAGAIN)
                open = 0;
            if (put > 0) {
                out_head += (uint32_t)put;
                down_free = (down_idle ? now : down_free) + put * byte_ns;
                down_idle = out_head == out_used;
                if (down_idle)
                    out_head = out_used = 0;
            }
        }
        /* sleep until the next of these */
        if (arriving_count && arrives < next)
            next = arrives;
        if (ring_used && busy > now && busy < next)
            next = busy;
        if (out_used) {
            int64_t leaves = busy > down_free ? busy : down_free;
            if (leaves < next)
                next = leaves;
        }
        now = now_ns();
        if (next > now) {
            struct timespec left = {.tv_sec = (next - now) / 1000000000, .tv_nsec = (next - now) % 1000000000};
            struct pollfd ready = {.fd = line, .events = POLLIN};
            ppoll(&ready, arriving_count ? 0 : 1, &left, NULL);
        }
    }
    printf("lost %llu of %llu\n", (unsigned long long)lost, (unsigned long long)total);
    return 0;
}
