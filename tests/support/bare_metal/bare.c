/* See bare.h. Sources: "Semihosting for AArch32 and AArch64" (Arm), ARMv7-M Architecture Reference Manual (MPU). */
#include "bare.h"

enum { SYS_WRITE0 = 0x04, SYS_GET_CMDLINE = 0x15, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xE000ED88u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)

extern uint32_t stack_top, bss_start, bss_end;
/* From the linker's command line: the end of a memory behind which nothing lies, or 0 where the MPU makes the fence.
 * (The MPU of ARMv8-M cannot take memory from privileged code.) */
extern int8_t END_OF_MEMORY __attribute__((weak));
int main(void);

static uint32_t ask(uint32_t call, const void *block)
{
    register uint32_t r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void bare_text(const char *text)
{
    ask(SYS_WRITE0, text);
}

void bare_number(int64_t value)
{
    char digits[24];
    int at = 23;
    uint64_t rest = value < 0 ? (uint64_t)-value : (uint64_t)value;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--at] = '-';
    bare_text(&digits[at]);
}

uint32_t bare_argument(int n, uint32_t otherwise)
{
    static char line[256];
    const uint32_t block[2] = {(uint32_t)line, sizeof line};
    const char *at = line;
    uint32_t value = 0;
    if (ask(SYS_GET_CMDLINE, block) != 0)
        return otherwise;
    for (; n > 0; --n) {
        while (*at && *at != ' ')
            ++at;
        while (*at == ' ')
            ++at;
    }
    if (*at < '0' || *at > '9')
        return otherwise;
    for (; *at >= '0' && *at <= '9'; ++at)
        value = value * 10 + (uint32_t)(*at - '0');
    return value;
}

void bare_exit(uint32_t code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, code};
    ask(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

int8_t *bare_fence(void)
{
    static struct {
        int8_t free[BARE_FENCED_BYTES], fence[BARE_FENCE_BYTES];
    } memory __attribute__((aligned(BARE_FENCE_BYTES)));
    if (&END_OF_MEMORY)
        return &END_OF_MEMORY;
    MPU_RNR = 0;
    MPU_RBAR = (uint32_t)memory.fence;
    MPU_RASR = 1u << 28 | 15u << 1 | 1u; /* not executable, no access, 2^16 bytes, on */
    MPU_CTRL = 1u << 2 | 1u;             /* everything else as without an MPU */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    return memory.fence;
}

static void fault(void)
{
    bare_text("fault\n");
    bare_exit(3);
}

__attribute__((noreturn, used)) void reset(void)
{
    CPACR |= 0xFu << 20; /* FPU and MVE registers */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (uint32_t *word = &bss_start; word < &bss_end; ++word)
        *word = 0;
    bare_exit((uint32_t)main());
}

__attribute__((section(".vectors"), used))
const void *const vectors[16] = {&stack_top,          (const void *)reset, (const void *)fault, (const void *)fault,
                                 (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault};
