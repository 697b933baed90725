/* Fast kernels against the portable ones on random layers. Command line: seed, cases per kind; a third word of 1 for a
 * list of what scratch they want instead: kind, bytes, and the words of kn_conv_params and kn_conv_shape, one line per
 * case.
 *
 * Prints, per kind, the cases and how many of them the fast kernel took. Ends with code 1 at the first difference or
 * damaged byte around a buffer, with code 3 at an access beyond the fence. One buffer of each case, chosen by
 * chance, ends at the fence. */
#include "bare.h"
#include "cases.h"

enum { LIMIT = 24000, GUARD = 32, POISON = 0x5A };

typedef struct {
    int8_t before[GUARD], data[LIMIT], after[GUARD];
} guarded;

static guarded input_memory, weights_memory, output_memory, scratch_memory;
static int8_t expected[LIMIT];
static layer_case layer;
static int8_t *fence;

static void fill(int8_t *to, uint32_t count, int value)
{
    while (count-- > 0)
        *to++ = (int8_t)value;
}

static int differs(const int8_t *bytes, int32_t count, const int8_t *from, int value)
{
    for (int32_t i = 0; i < count; ++i) {
        if (bytes[i] != (from ? from[i] : (int8_t)value))
            return i + 1;
    }
    return 0;
}

/* A place for `bytes`: between guards, or ending at the fence. Any alignment, but for a multiple of 4 where
 * `aligned`. */
static int8_t *place(guarded *memory, int32_t bytes, int at_fence, int aligned)
{
    const int32_t offset = aligned ? 0 : cases_between(0, 3);
    fill(memory->before, sizeof *memory, POISON);
    if (!at_fence)
        return memory->data + offset;
    fill(fence - bytes - GUARD, (uint32_t)(bytes + GUARD), POISON);
    return fence - bytes;
}

static int run_fast(const int8_t *input, const int8_t *weights, int8_t *scratch, uint32_t scratch_bytes, int8_t *output)
{
    if (layer.kind == CASE_CONV)
        return fast_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, layer.folded, scratch,
                            scratch_bytes, output);
    if (layer.kind == CASE_DEPTHWISE)
        return fast_depthwise_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights,
                                      layer.with_bias ? layer.bias : 0, layer.folded, scratch, scratch_bytes, output);
    return fast_fully_connected(&layer.dense, &layer.scales, input, weights, layer.folded, output);
}

static void run_portable(const int8_t *input, const int8_t *weights)
{
    const int32_t *bias = layer.with_bias ? layer.bias : 0;
    if (layer.kind == CASE_CONV)
        kn_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, bias, expected);
    else if (layer.kind == CASE_DEPTHWISE)
        kn_depthwise_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, bias, expected);
    else
        kn_fully_connected(&layer.dense, &layer.scales, input, weights, bias, expected);
}

static void fail(const char *what, int32_t number, int32_t detail)
{
    static const char *const kinds[CASE_KINDS] = {"conv", "depthwise", "fully_connected"};
    const int32_t *words = (const int32_t *)&layer.params;
    bare_text(kinds[layer.kind]);
    bare_text(" case ");
    bare_number(number);
    bare_text(": ");
    bare_text(what);
    bare_text(" ");
    bare_number(detail);
    bare_text("; params, shape, dense:");
    for (uint32_t i = 0; i < (sizeof layer.params + sizeof layer.shape + sizeof layer.dense) / 4; ++i) {
        bare_text(" ");
        bare_number(words[i]);
    }
    bare_text("\n");
    bare_exit(1);
}

static uint32_t scratch_wanted(void)
{
    if (layer.kind == CASE_FULLY_CONNECTED)
        return 0;
    return layer.kind == CASE_CONV ? fast_conv_2d_scratch(&layer.params, &layer.shape)
                                   : fast_depthwise_conv_2d_scratch(&layer.params, &layer.shape);
}

static void list_scratch(uint32_t count)
{
    const int32_t *words = (const int32_t *)&layer.params;
    for (uint32_t i = 0; i < count; ++i) {
        cases_layer(&layer, i % 2 ? CASE_CONV : CASE_DEPTHWISE, LIMIT);
        if (i % 100 == 99) { /* a window of 2^29 bytes: four widened ones are 2^32 */
            layer.shape.filter_height = layer.shape.filter_width = 1 << 12;
            layer.shape.filter_channels = layer.shape.input_channels = 1 << 5;
        }
        bare_number(layer.kind);
        bare_text(" ");
        bare_number(scratch_wanted());
        for (uint32_t at = 0; at < (sizeof layer.params + sizeof layer.shape) / 4; ++at) {
            bare_text(" ");
            bare_number(words[at]);
        }
        bare_text("\n");
    }
}

static int check(int kind, int32_t number)
{
    cases_layer(&layer, kind, LIMIT - 4);
    const uint32_t wanted = scratch_wanted();
    if (wanted > LIMIT || wanted % 4)
        fail("scratch", number, (int32_t)wanted);
    /* Sometimes less than wanted: then the kernel may refuse, or use a slower way. */
    const uint32_t given = cases_between(1, 8) == 1 ? (uint32_t)cases_between(0, (int32_t)wanted / 4) * 4u : wanted;
    const int32_t fenced = cases_between(0, 3);
    int8_t *input = place(&input_memory, layer.input_bytes, fenced == 0, 0);
    int8_t *weights = place(&weights_memory, layer.weights_bytes, fenced == 1, 0);
    int8_t *output = place(&output_memory, layer.output_bytes, fenced == 2, 0);
    int8_t *scratch = place(&scratch_memory, (int32_t)given, fenced == 3, 1);
    cases_fill(input, layer.input_bytes);
    cases_fill(weights, layer.weights_bytes);
    cases_fold(&layer, weights);
    run_portable(input, weights);
    const int taken = run_fast(input, weights, scratch, given, output);
    if (!taken && differs(output, layer.output_bytes, 0, POISON))
        fail("refused and wrote output", number, 0);
    if (!taken && given >= wanted && fast_kernels() != 1 && layer.shape.output_channels >= 4 &&
        kind == CASE_FULLY_CONNECTED)
        fail("refused", number, 0);
    const int32_t wrong = taken ? differs(output, layer.output_bytes, expected, 0) : 0;
    if (wrong)
        fail("differs at", number, wrong - 1);
    if (differs(output - GUARD + 4, GUARD - 4, 0, POISON) ||
        (fenced != 2 && differs(output + layer.output_bytes, GUARD, 0, POISON)))
        fail("wrote around the output", number, 0);
    if (differs(scratch - GUARD, GUARD, 0, POISON) || (fenced != 3 && differs(scratch + given, GUARD, 0, POISON)))
        fail("wrote around the scratch", number, (int32_t)given);
    return taken;
}

static void fail_add(const char *what, int32_t number, int32_t detail, const kn_add_params *params)
{
    const int32_t *words = (const int32_t *)params;
    bare_text("add case ");
    bare_number(number);
    bare_text(": ");
    bare_text(what);
    bare_text(" ");
    bare_number(detail);
    bare_text("; params:");
    for (uint32_t i = 0; i < sizeof *params / 4; ++i) {
        bare_text(" ");
        bare_number(words[i]);
    }
    bare_text("\n");
    bare_exit(1);
}

/* ADD and SUB, over one or two dimensions, sometimes in place. */
static int check_add(int32_t number)
{
    kn_add_params params;
    kn_broadcast broadcast;
    cases_add(&params, &broadcast);
    const int32_t rows = broadcast.rank == 2 ? broadcast.dims[0] : 1, length = broadcast.dims[broadcast.rank - 1];
    const int32_t repeated = broadcast.strides2[0] == 0 && broadcast.rank == 2,
                  step = broadcast.strides2[broadcast.rank - 1];
    const int32_t bytes2 = (repeated ? 1 : rows) * (step ? length : 1), bytes = rows * length;
    const int32_t fenced = cases_between(0, 3), sign = cases_between(0, 1) ? 1 : -1;
    const int in_place = cases_between(0, 3) == 0;
    int8_t *input = place(&input_memory, bytes, fenced == 0, 0);
    int8_t *second = place(&weights_memory, bytes2, fenced == 1, 0);
    int8_t *output = in_place ? input : place(&output_memory, bytes, fenced == 2, 0);
    cases_fill(input, bytes);
    cases_fill(second, bytes2);
    (sign > 0 ? kn_add : kn_sub)(&params, &broadcast, input, second, expected);
    const int taken = fast_add(&params, &broadcast, sign, input, second, output);
    const int32_t wrong = taken ? differs(output, bytes, expected, 0) : 0;
    if (!taken && !in_place && differs(output, bytes, 0, POISON))
        fail_add("refused and wrote output", number, 0, &params);
    if (wrong)
        fail_add("differs at", number, wrong - 1, &params);
    const int at_fence = in_place ? fenced == 0 : fenced == 2;
    if (differs(output - GUARD + 4, GUARD - 4, 0, POISON) || (!at_fence && differs(output + bytes, GUARD, 0, POISON)))
        fail_add("wrote around the output", number, 0, &params);
    return taken;
}

int main(void)
{
    static const char *const kinds[CASE_KINDS] = {"conv ", "depthwise ", "fully_connected "};
    const uint32_t seed = bare_argument(1, 1), count = bare_argument(2, 100);
    fence = bare_fence();
    cases_seed(seed);
    if (bare_argument(3, 0)) {
        list_scratch(count);
        return 0;
    }
    bare_text("kernels ");
    bare_number(fast_kernels());
    bare_text("\n");
    for (int kind = 0; kind < CASE_KINDS; ++kind) {
        int32_t taken = 0;
        for (uint32_t i = 0; i < count; ++i)
            taken += check(kind, (int32_t)i);
        bare_text(kinds[kind]);
        bare_number(count);
        bare_text(" ");
        bare_number(taken);
        bare_text("\n");
    }
    int32_t taken = 0;
    for (uint32_t i = 0; i < count; ++i)
        taken += check_add((int32_t)i);
    bare_text("add ");
    bare_number(count);
    bare_text(" ");
    bare_number(taken);
    bare_text("\n");
    return 0;
}
