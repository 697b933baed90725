/* The delegate's options: text in, numbers out; anything unknown is an error with its reason. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npu.h"

static const char *const known =
    "rounding, latency_us_per_node, compile_ms_per_node, cache_dir, refuse, fault, fault_at, fault_ops";

typedef struct {
    char *text;
    size_t bytes;
} message;

static int wrong(message *to, const char *key, const char *value, const char *expected)
{
    snprintf(to->text, to->bytes, NPU_NAME ": option %.64s: expected %s, found '%.64s'", key, expected, value);
    return 0;
}

static int read_number(message *to, const char *key, const char *value, int64_t low, int64_t high, int64_t *number)
{
    char expected[64];
    char *end;
    errno = 0;
    const long long read = strtoll(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0' && read >= low && read <= high) {
        *number = read;
        return 1;
    }
    snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)low, (long long)high);
    return wrong(to, key, value, expected);
}

static int read_fault(message *to, const char *key, const char *value, enum npu_fault *fault)
{
    static const char *const words[] = {"none", "zeros", "error", "crash", "hang", "shift"};
    for (int i = 0; i < 6; ++i) {
        if (strcmp(value, words[i]) == 0) {
            *fault = (enum npu_fault)i;
            return 1;
        }
    }
    return wrong(to, key, value, "none, zeros, error, crash, hang or shift");
}

static int read_rounding(message *to, const char *key, const char *value, int32_t *rounding)
{
    *rounding = strcmp(value, "single") == 0 ? KN_ROUND_SINGLE : KN_ROUND_DOUBLE;
    return *rounding == KN_ROUND_SINGLE || strcmp(value, "double") == 0 || wrong(to, key, value, "double or single");
}

/* Operator names between commas. */
static int read_ops(message *to, const char *key, const char *value, uint8_t named[256])
{
    for (const char *next = value; *next != '\0';) {
        const size_t length = strcspn(next, ",");
        const int32_t code = npu_op_code(next, length);
        if (code < 0)
            return wrong(to, key, value, "operator names of the schema such as CONV_2D, separated by commas");
        named[code] = 1;
        next += length + (next[length] == ',' ? 1 : 0);
    }
    return 1;
}

static int read_folder(message *to, const char *key, const char *value, char folder[NPU_PATH_BYTES])
{
    if (value[0] != '/' || strlen(value) >= NPU_PATH_BYTES)
        return wrong(to, key, value, "an absolute path");
    memcpy(folder, value, strlen(value) + 1);
    return 1;
}

static int read_option(npu_options *options, const char *key, const char *value, message *to)
{
    if (strcmp(key, "rounding") == 0)
        return read_rounding(to, key, value, &options->rounding);
    if (strcmp(key, "latency_us_per_node") == 0)
        return read_number(to, key, value, 0, 10000000, &options->latency_us_per_node);
    if (strcmp(key, "compile_ms_per_node") == 0)
        return read_number(to, key, value, 0, 3600000, &options->compile_ms_per_node);
    if (strcmp(key, "cache_dir") == 0)
        return read_folder(to, key, value, options->cache_dir);
    if (strcmp(key, "refuse") == 0)
        return read_ops(to, key, value, options->refuse);
    if (strcmp(key, "fault") == 0)
        return read_fault(to, key, value, &options->fault);
    if (strcmp(key, "fault_ops") == 0)
        return read_ops(to, key, value, options->shift);
    if (strcmp(key, "fault_at") == 0)
        return read_number(to, key, value, 1, INT64_MAX, &options->fault_at);
    snprintf(to->text, to->bytes, NPU_NAME ": unknown option '%.64s'; known: %s", key, known);
    return 0;
}

int npu_parse_options(npu_options *options, char **keys, char **values, size_t count, char *text, size_t bytes)
{
    message to = {text, bytes};
    memset(options, 0, sizeof *options);
    options->fault_at = 1;
    for (size_t i = 0; i < count; ++i) {
        if (!read_option(options, keys[i], values[i], &to))
            return 0;
    }
    return 1;
}
