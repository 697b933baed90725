/* A program of a user's own over an exported library called tiny: its own start-up, and its own counter (the CMSDK
 * timer of MPS2, which counts down with 25 MHz, or the system counter of the SSE-300). Prints for every sample how many
 * bytes differ, and how many ticks an inference and one instruction took. */
#include <string.h>

#include "bare.h"
#include "expected.h"
#include "tiny.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#ifdef SSE_300
#define START() (REGISTER(0x58100000u) = 1u)
#define NOW() REGISTER(0x58100008u)
#else
#define START() (REGISTER(0x40000008u) = REGISTER(0x40000004u) = 0xFFFFFFFFu, REGISTER(0x40000000u) = 1u)
#define NOW() (~REGISTER(0x40000004u))
#endif

static uint8_t arena[TINY_ARENA_BYTES] __attribute__((aligned(TINY_ALIGNMENT)));

/* One instruction. */
__attribute__((naked, noinline)) static int nothing(tiny_error *error)
{
    (void)error;
    __asm__ volatile("bx lr");
}

/* Whatever is called, the instructions around it are the same. */
__attribute__((noinline, noclone)) static int timed(int (*call)(tiny_error *), tiny_error *error, uint32_t *ticks)
{
    const uint32_t before = NOW();
    const int code = call(error);
    *ticks = NOW() - before;
    return code;
}

int main(void)
{
    tiny_error error;
    uint32_t ticks, around;
    if (tiny_load(arena, sizeof arena - 16u, &error) != TINY_TOO_LARGE)
        return 1;
    if (tiny_input_0() || tiny_load(arena, sizeof arena, NULL) != TINY_OK)
        return 2;
    START();
    timed(nothing, &error, &around);
    for (uint32_t number = 0; number < EXPECTED_SAMPLES; number++) {
        memcpy(tiny_input_0(), expected_input_0[number], TINY_INPUT_0_BYTES);
        if (timed(tiny_invoke, &error, &ticks) != TINY_OK)
            return 3;
        const uint8_t *const found = (const uint8_t *)tiny_output_0();
        int64_t apart = 0;
        for (uint32_t i = 0; i < TINY_OUTPUT_0_BYTES; i++)
            apart += found[i] != expected_output_0[number][i];
        bare_number(apart);
        bare_text(" ");
        bare_number(ticks);
        bare_text(" ");
        bare_number(around);
        bare_text("\n");
    }
    tiny_unload();
    return tiny_output_0() ? 4 : 0;
}
