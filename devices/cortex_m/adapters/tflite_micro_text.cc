#include "tflite_micro_text.h"

#include <setjmp.h>
#include <string.h>

#include "tensorflow/lite/micro/debug_log.h"

namespace
{

/* Parts of the messages that TFLite Micro's allocators print when the arena is used up. */
const char *const shortage_words[] = {"Failed to resize buffer", "Failed to allocate", "Arena size is too small"};
/* "Node CONV_2D (number 3) failed to prepare" */
const char node_words[] = "(number ";

char text[TFLM_TEXT_BYTES];
size_t used;
bool line_ended;
bool too_large;
uint16_t node = TFLM_NO_NODE;

jmp_buf way_out;
bool guarded;

/* A buffer being filled; counts on when it is full, as snprintf does. */
struct Sink {
    char *to;
    size_t bytes, count;

    void put(char c)
    {
        if (count + 1 < bytes)
            to[count] = c;
        ++count;
    }
    void put_text(const char *from)
    {
        while (*from)
            put(*from++);
    }
    void put_number(uint32_t value, uint32_t base)
    {
        char digits[10];
        int n = 0;
        do {
            digits[n++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value);
        while (n)
            put(digits[--n]);
    }
    void put_signed(int32_t value)
    {
        if (value < 0)
            put('-');
        put_number(value < 0 ? 0u - static_cast<uint32_t>(value) : static_cast<uint32_t>(value), 10);
    }
    /* Three decimals; numbers beyond 32 bits only as such. The scales and ranges of messages are no larger. */
    void put_real(double value)
    {
        if (!(value < 4294967295.0 && value > -4294967295.0)) {
            put_text("(a large number)");
            return;
        }
        if (value < 0)
            put('-');
        value = value < 0 ? -value : value;
        const uint32_t whole = static_cast<uint32_t>(value);
        const uint32_t thousandths = static_cast<uint32_t>((value - whole) * 1000.0);
        put_number(whole, 10);
        put('.');
        for (uint32_t place = 100; place > 0; place /= 10)
            put(static_cast<char>('0' + thousandths / place % 10));
    }
    void put_argument(char kind, bool wide, va_list *arguments);
};

void Sink::put_argument(char kind, bool wide, va_list *arguments)
{
    switch (kind) {
    case 'd':
    case 'i':
        put_signed(wide ? static_cast<int32_t>(va_arg(*arguments, long long)) : va_arg(*arguments, int));
        break;
    case 'u':
    case 'x':
    case 'X':
        put_number(wide ? static_cast<uint32_t>(va_arg(*arguments, unsigned long long)) : va_arg(*arguments, unsigned),
                   kind == 'u' ? 10 : 16);
        break;
    case 'p':
        put_number(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(va_arg(*arguments, void *))), 16);
        break;
    case 's': {
        const char *const string = va_arg(*arguments, const char *);
        put_text(string ? string : "(null)");
        break;
    }
    case 'c':
        put(static_cast<char>(va_arg(*arguments, int)));
        break;
    case 'e':
    case 'f':
    case 'g':
        put_real(va_arg(*arguments, double));
        break;
    default:
        put(kind);
    }
}

uint16_t node_in(const char *line)
{
    const char *at = strstr(line, node_words);
    if (!at)
        return TFLM_NO_NODE;
    uint32_t number = 0;
    for (at += sizeof(node_words) - 1; *at >= '0' && *at <= '9' && number < TFLM_NO_NODE; ++at)
        number = number * 10 + static_cast<uint32_t>(*at - '0');
    return static_cast<uint16_t>(number < TFLM_NO_NODE ? number : TFLM_NO_NODE);
}

/* Line ends become "; " once something follows them; trailing ones vanish. */
void append(const char *line)
{
    for (; *line; ++line) {
        if (*line == '\r' || *line == '\n') {
            line_ended = used > 0;
            continue;
        }
        const char *const gap = line_ended ? "; " : "";
        line_ended = false;
        for (const char *c = gap; *c && used + 1 < sizeof(text); ++c)
            text[used++] = *c;
        if (used + 1 < sizeof(text))
            text[used++] = *line;
    }
    text[used] = '\0';
}

void take(const char *format, va_list arguments)
{
    char line[TFLM_TEXT_BYTES];
    tflm_format(line, sizeof(line), format, arguments);
    for (const char *words : shortage_words)
        if (strstr(line, words))
            too_large = true;
    const uint16_t found = node_in(line);
    if (found != TFLM_NO_NODE)
        node = found;
    append(line);
}

[[noreturn]] void give_up()
{
    if (guarded)
        longjmp(way_out, 1);
    __builtin_trap(); /* a fault with its address, for the host to see */
}

} // namespace

void tflm_text_clear(void)
{
    used = 0;
    text[0] = '\0';
    line_ended = too_large = false;
    node = TFLM_NO_NODE;
}

void tflm_text_add(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    take(format, arguments);
    va_end(arguments);
}

const char *tflm_text(const char *otherwise)
{
    return used ? text : otherwise;
}

uint16_t tflm_text_node(void)
{
    return node;
}

void tflm_text_set_node(uint16_t index)
{
    node = index;
}

int tflm_text_says_too_large(void)
{
    return too_large;
}

int tflm_guarded(int (*work)(void *argument), void *argument, int stopped)
{
    if (setjmp(way_out)) {
        guarded = false;
        return stopped;
    }
    guarded = true;
    const int value = work(argument);
    guarded = false;
    return value;
}

int tflm_format(char *buffer, size_t bytes, const char *format, va_list arguments)
{
    Sink sink = {buffer, bytes, 0};
    va_list rest;
    va_copy(rest, arguments);
    for (; *format; ++format) {
        if (*format != '%' || !format[1]) {
            sink.put(*format);
            continue;
        }
        /* Flags, widths and precisions are skipped; of lengths only those that make an argument wider than a word
         * matter. */
        const char *kind = format + 1;
        int longs = 0;
        for (; *kind && strchr("-+ #0123456789.lhzjtq", *kind); ++kind) {
            if (*kind == 'l')
                ++longs;
            if (*kind == 'j' || *kind == 'q')
                longs = 2;
            if (*kind == 'z' || *kind == 't')
                longs = sizeof(size_t) > sizeof(int) ? 2 : longs;
        }
        if (!*kind)
            break;
        sink.put_argument(*kind, longs > 1 || (longs == 1 && sizeof(long) > sizeof(int)), &rest);
        format = kind;
    }
    va_end(rest);
    if (bytes)
        buffer[sink.count < bytes ? sink.count : bytes - 1] = '\0';
    return static_cast<int>(sink.count);
}

extern "C" {

void DebugLog(const char *format, va_list arguments)
{
    take(format, arguments);
    /* A library built with TF_LITE_MCU_DEBUG_LOG prints this and then loops for ever. */
    if (guarded && strcmp(format, "HALTED") == 0)
        give_up();
}

int DebugVsnprintf(char *buffer, size_t bytes, const char *format, va_list arguments)
{
    return tflm_format(buffer, bytes, format, arguments);
}

[[noreturn]] void abort(void)
{
    tflm_text_add("\nTFLite Micro gave up (abort)");
    give_up();
}

/* assert() of newlib, in libraries that were built without NDEBUG. */
[[noreturn]] void __assert_func(const char *file, int line, const char *function, const char *expression)
{
    const char *const name = strrchr(file, '/');
    (void)function;
    tflm_text_add("\nTFLite Micro's check failed: %s (%s:%d)", expression, name ? name + 1 : file, line);
    give_up();
}

/* What a class with a pure virtual function refers to; the C++ library's would bring its whole exception machinery. */
[[noreturn]] void __cxa_pure_virtual(void)
{
    abort();
}
}
