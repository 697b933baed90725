/* Exact instruction counts of the layers in layers.h (written by bench_kernels.py): the portable kernel's and the
 * fast one's. To be run by QEMU with -icount shift=ICOUNT_SHIFT. Prints "index portable fast scratch" per layer;
 * fast is 0 where the fast kernel refuses. */
#include "bare.h"
#include "cases.h"
#include "layers.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#if COUNTER_CMSDK_TIMER /* CMSDK APB timer: counts down */
static void start(void)
{
    REGISTER(0x40000008u) = 0xFFFFFFFFu;
    REGISTER(0x40000004u) = 0xFFFFFFFFu;
    REGISTER(0x40000000u) = 1u;
}

static uint32_t ticks(void)
{
    return ~REGISTER(0x40000004u);
}
#else /* SSE-300 system counter: counts up */
static void start(void)
{
    REGISTER(0x58100000u) = 1u;
}

static uint32_t ticks(void)
{
    return REGISTER(0x58100008u);
}
#endif

enum { LIMIT = 1 << 17 };

static int8_t input[LIMIT], weights[LIMIT], output[LIMIT], scratch[LIMIT] __attribute__((aligned(4)));
static layer_case layer;

static uint32_t instructions(uint32_t count)
{
    return (uint32_t)(((uint64_t)count * 1000000000u / COUNTER_HZ + (1u << (ICOUNT_SHIFT - 1))) >> ICOUNT_SHIFT);
}

static int run(int fast, uint32_t scratch_bytes)
{
    const int32_t *bias = layer.bias;
    switch (layer.kind * 2 + fast) {
    case CASE_CONV * 2:
        kn_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, bias, output);
        return 1;
    case CASE_DEPTHWISE * 2:
        kn_depthwise_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, bias, output);
        return 1;
    case CASE_FULLY_CONNECTED * 2:
        kn_fully_connected(&layer.dense, &layer.scales, input, weights, bias, output);
        return 1;
    case CASE_CONV * 2 + 1:
        return fast_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, layer.folded, scratch,
                            scratch_bytes, output);
    case CASE_DEPTHWISE * 2 + 1:
        return fast_depthwise_conv_2d(&layer.params, &layer.shape, &layer.scales, input, weights, bias, layer.folded,
                                      scratch, scratch_bytes, output);
    case CASE_FULLY_CONNECTED * 2 + 1:
        return fast_fully_connected(&layer.dense, &layer.scales, input, weights, layer.folded, output);
    default:
        return run(0, 0);
    }
}

static void prepare(int i)
{
    const counted_layer *from = &counted_layers[i];
    layer.kind = from->kind;
    layer.shape = from->shape;
    layer.params = from->params;
    layer.dense = from->dense;
    layer.scales = (kn_channel_scales){layer.multipliers, layer.shifts, from->kind != CASE_FULLY_CONNECTED};
    layer.weights_bytes = from->weights_bytes;
    for (int32_t c = 0; c < from->shape.output_channels; ++c) {
        layer.multipliers[c] = cases_between(1 << 30, INT32_MAX);
        layer.shifts[c] = cases_between(-9, -7);
        layer.bias[c] = cases_between(-4000, 4000);
    }
    cases_fill(input, LIMIT);
    cases_fill(weights, from->weights_bytes);
    cases_fold(&layer, weights);
}

/* Layers are run one after the other, with the counter read around the kernel alone. */
static uint32_t count(int fast, uint32_t scratch_bytes)
{
    const uint32_t begin = ticks();
    const int taken = run(fast, scratch_bytes);
    const uint32_t end = ticks();
    return taken ? instructions(end - begin) : 0;
}

static void print(int64_t value)
{
    bare_text(" ");
    bare_number(value);
}

int main(void)
{
    start();
    cases_seed(1);
    for (int i = 0; i < (int)(sizeof counted_layers / sizeof counted_layers[0]); ++i) {
        prepare(i);
        uint32_t bytes = 0;
        if (layer.kind == CASE_CONV)
            bytes = fast_conv_2d_scratch(&layer.params, &layer.shape);
        else if (layer.kind == CASE_DEPTHWISE)
            bytes = fast_depthwise_conv_2d_scratch(&layer.params, &layer.shape);
        bare_number(i);
        print(count(0, 0));
        print(count(1, bytes));
        print(bytes);
        bare_text("\n");
    }
    return 0;
}
