/* Validation of a plan, part 2: each field on its own. */
#include <stddef.h>

#include "plan_check.h"

/* One letter for each kind of field. */
typedef struct {
    char letter;
    int32_t low, high;
    const char *why;
} field_range;

/* Words about ops of which this build may have none. */
#define WIDE(text) (PLAN_BUILT_OPS >> PLAN_CONV_2D_16 ? text : "")

static const field_range ranges[] = {
    {'c', 1, INT32_MAX, "a size or count is not positive"},
    {'w', 1, 32767, "a filter size, stride or dilation is not in 1..32767"},
    {'p', 0, 32767, "a padding is not in 0..32767"},
    {'o', -127, 128, "an input or weights offset is not in -127..128"},
    {'z', -128, 127, "a zero point or value is not in -128..127"},
    {'l', -128, 127, "an activation minimum is not in -128..127"},
    {'h', -128, 127, "an activation maximum is not in -128..127"},
    {'m', 0, INT32_MAX, "a multiplier is negative"},
    {'e', -31, 30, "a shift is not in -31..30"},
    {'f', 0, 1, "a flag is neither 0 nor 1"},
    {'r', 1, KN_MAX_RANK, "a rank is not in 1..6"},
    {'d', 0, INT32_MAX, "a dimension or stride is negative"},
    {'x', 20, 20, "the left shift of an addition is not 20"},
    {'k', 0, 32767, "a multiplier of HARD_SWISH is not in 0..32767"},
    {'j', -15, 0, "the output shift of HARD_SWISH is not in -15..0"},
    {'g', -15, 15, "the relu shift of HARD_SWISH is not in -15..15"},
    {'q', 1, 4095, "the depth of SOFTMAX is not in 1..4095"},
    {'u', 0, 31, "the shift of SOFTMAX is not in 0..31"},
    {'v', INT32_MIN, 0, "the smallest difference of SOFTMAX is positive"},
    {'0', 0, 0, WIDE("an offset or zero point of 16-bit activations is not 0")},
    {'1', 1, 1, WIDE("a dilation of TRANSPOSE_CONV is not 1")},
    {'L', INT16_MIN, INT16_MAX, WIDE("an activation minimum is not in -32768..32767")},
    {'H', INT16_MIN, INT16_MAX, WIDE("an activation maximum is not in -32768..32767")},
    {'y', 15, 15, WIDE("the left shift of a 16-bit addition is not 15")},
    {'n', 1, PLAN_MAX_INPUTS, "a CONCATENATION of no or of too many inputs"},
};

/* Of the ops from PLAN_FIRST_MORE on. */
static const field_range more_ranges[] = {
    {'b', 1, 2, "an item has not 1 or 2 bytes"},
    {'a', KN_EQUAL, KN_LESS_EQUAL, "a comparison is not in 0..5"},
    {'U', 0, 65535, "a multiplier of LOGISTIC or TANH is not in 0..65535"},
    {'t', 0, 31, "a right shift is not in 0..31"},
    {'G', 3, 4, "an LSTM has not 3 or 4 gates"},
    {'i', 0, 6, "the integer bits of a cell state are not in 0..6"},
    {'C', 1, 6, "a comparison is not in 1..6"},
    {'W', -31, 7, "a shift of 64-bit sums is not in -31..7"},
    {'R', -31, 0, "a shift is not in -31..0"},
    {'M', 1 << 23, (1 << 24) - 1, "a mantissa has not 24 bits"},
    {'E', -149, 104, "an exponent is not in -149..104"},
};

/* Of the float32 ops. */
#define FLOATS(text) (PLAN_HAS_FLOATS ? text : "")

static const field_range float_ranges[] = {
    {'2', 0, 0, FLOATS("a word that float32 ops have no use for is not 0")},
    {'3', -1, -1, FLOATS("an operand that float32 ops have no use for is there")},
    {'4', 0, KN_REDUCTIONS - 1, FLOATS("a reduction is none of the kernels'")},
    {'5', 0, KN_PAIRINGS - 1, FLOATS("an op on pairs is none of the kernels'")},
    {'6', 0, KN_FUNCTIONS - 1, FLOATS("a function is none of the kernels'")},
    {'8', 1, 1, FLOATS("a dilation of TRANSPOSE_CONV is not 1")},
    {'9', 0, KN_LESS_EQUAL, FLOATS("a comparison is not in 0..5")},
    {'V', 3, 4, FLOATS("an LSTM has not 3 or 4 gates")},
};

/* The words of each record behind its head, in the order of plan.h. '.' is an operand, or another word without a range
 * of its own. */
#define CONV_WORDS ".........fwwwwppoozlhfccccwwcccc"
#define CONV_16_WORDS ".........ffwwwwpp000LHfccccwwcccc"
#define POOL_WORDS "..ccccccwwwwpplhf"
#define POOL_16_WORDS "..ccccccwwwwppLH0"
#define BROADCAST_WORDS "...rdddddddddddddddddd"
/* Of an op that a build may be without. */
#define LAYOUT(op, words) [op] = PLAN_HAS(op) ? words : ""

static const char *const layouts[PLAN_FIRST_MORE] = {
    [PLAN_CONV_2D] = CONV_WORDS,
    [PLAN_DEPTHWISE_CONV_2D] = CONV_WORDS,
    [PLAN_FULLY_CONNECTED] = ".........fcccoozlhf",
    [PLAN_MAX_POOL_2D] = POOL_WORDS,
    [PLAN_AVERAGE_POOL_2D] = POOL_WORDS,
    [PLAN_MEAN] = "..rddddddffffffzzmef",
    [PLAN_ADD] = BROADCAST_WORDS "xomeomezmelhf",
    [PLAN_SUB] = BROADCAST_WORDS "xomeomezmelhf",
    [PLAN_MUL] = BROADCAST_WORDS "oozmelhf",
    [PLAN_MAXIMUM] = BROADCAST_WORDS,
    [PLAN_MINIMUM] = BROADCAST_WORDS,
    [PLAN_CONCATENATION] = ".cn",
    [PLAN_COPY] = "..c",
    [PLAN_PAD] = "..rddddddppppppppppppz",
    [PLAN_SOFTMAX] = "..cqmuv",
    [PLAN_LOOKUP] = "..c.",
    [PLAN_RESCALE] = "..czzmelhf",
    [PLAN_LEAKY_RELU] = "..czzme.e",
    [PLAN_HARD_SWISH] = "..czzkjkg",
    [PLAN_GATHER] = "..rdddddd......d",
    [PLAN_RESIZE_NEAREST] = "....cccccc",
    [PLAN_QUANTIZE] = "..cz.",
    [PLAN_DEQUANTIZE] = "..cz.",
    [PLAN_FLIP_SIGN] = "..c",
    LAYOUT(PLAN_CONV_2D_16, CONV_16_WORDS),
    LAYOUT(PLAN_DEPTHWISE_CONV_2D_16, CONV_16_WORDS),
    LAYOUT(PLAN_TRANSPOSE_CONV, ".........fww11ppo0zlhfccccwwcccc"),
    LAYOUT(PLAN_TRANSPOSE_CONV_16, ".........ffww11pp000LHfccccwwcccc"),
    LAYOUT(PLAN_ADD_16, BROADCAST_WORDS "y0me0me0meLHf"),
    LAYOUT(PLAN_SUB_16, BROADCAST_WORDS "y0me0me0meLHf"),
    LAYOUT(PLAN_LEAKY_RELU_16, "..c00me.e"),
    LAYOUT(PLAN_REQUANTIZE, "..c...zme..f"),
};

#define MORE_LAYOUT(op, words) [op - PLAN_FIRST_MORE] = PLAN_HAS(op) ? words : ""

static const char *const more_layouts[PLAN_LSTM_16 + 1 - PLAN_FIRST_MORE] = {
    MORE_LAYOUT(PLAN_REDUCE, "..rddddddffffffbf"),
    MORE_LAYOUT(PLAN_ARG_MAX, "..cccf"),
    MORE_LAYOUT(PLAN_COMPARE, BROADCAST_WORDS "aomeome"),
    MORE_LAYOUT(PLAN_SELECT, "....rdddddddddddddddddddddddd"),
    MORE_LAYOUT(PLAN_RESIZE_BILINEAR, "......cccccc"),
    MORE_LAYOUT(PLAN_PRELU, BROADCAST_WORDS "oozmeme"),
    MORE_LAYOUT(PLAN_BATCH_MATMUL, BROADCAST_WORDS "cccddddoozme"),
    MORE_LAYOUT(PLAN_L2_NORMALIZATION, "..cwz"),
    MORE_LAYOUT(PLAN_MAX_POOL_2D_16, POOL_16_WORDS),
    MORE_LAYOUT(PLAN_AVERAGE_POOL_2D_16, POOL_16_WORDS),
    MORE_LAYOUT(PLAN_MEAN_16, "..rddddddffffff00mef"),
    MORE_LAYOUT(PLAN_MUL_16, BROADCAST_WORDS "000meLHf"),
    MORE_LAYOUT(PLAN_MAXIMUM_16, BROADCAST_WORDS),
    MORE_LAYOUT(PLAN_MINIMUM_16, BROADCAST_WORDS),
    MORE_LAYOUT(PLAN_LOOKUP_16, "..c."),
    MORE_LAYOUT(PLAN_SIGMOID_16, "..c.Utf"),
    MORE_LAYOUT(PLAN_SOFTMAX_16, "....cwme"),
    MORE_LAYOUT(PLAN_FILL, ".cz"),
    MORE_LAYOUT(PLAN_ASSIGN, "..c"),
    MORE_LAYOUT(PLAN_QUANTIZE_16, "..c0."),
    MORE_LAYOUT(PLAN_DEQUANTIZE_16, "..c0."),
    MORE_LAYOUT(PLAN_SVDF, "......cccccozmeme"),
    MORE_LAYOUT(PLAN_LSTM, "........ccccGfozzmeip"),
    MORE_LAYOUT(PLAN_RESIZE_BILINEAR_16, "......cccccc"),
    MORE_LAYOUT(PLAN_BATCH_MATMUL_16, BROADCAST_WORDS "cccdddd000mW"),
    MORE_LAYOUT(PLAN_COMPARE_16, BROADCAST_WORDS "C"),
    MORE_LAYOUT(PLAN_PRELU_16, BROADCAST_WORDS "000meme"),
    MORE_LAYOUT(PLAN_SQUARED_DIFFERENCE, BROADCAST_WORDS "bomRomRzme"),
    MORE_LAYOUT(PLAN_SQRT_16, "..cMEME"),
    MORE_LAYOUT(PLAN_LSTM_16, ".........ccccfmeip"),
};

static const char *layout_of(uint32_t op)
{
    if (PLAN_HAS_FLOATS && op >= PLAN_FIRST_FLOAT)
        return plan_float_layout(op);
    if (PLAN_HAS_LATE && op >= PLAN_FIRST_LATE)
        return plan_layout_from_64(op);
    return PLAN_HAS_MORE && op >= PLAN_FIRST_MORE ? more_layouts[op - PLAN_FIRST_MORE] : layouts[op];
}

static const field_range *range_of(char letter)
{
    const field_range *range = ranges;
    if (PLAN_HAS_FLOATS)
        for (uint32_t i = 0; i < sizeof float_ranges / sizeof *float_ranges; ++i)
            if (float_ranges[i].letter == letter)
                return &float_ranges[i];
    if (PLAN_HAS_MORE)
        for (uint32_t i = 0; i < sizeof more_ranges / sizeof *more_ranges; ++i)
            if (more_ranges[i].letter == letter)
                return &more_ranges[i];
    while (range->letter != letter)
        ++range;
    return range;
}

void plan_check_fields(plan_checker *check, const uint32_t *record)
{
    const char *const layout = layout_of(record[0] & 0xFFFFu);
    const uint32_t words = record[0] >> 16;
    uint32_t at = 1;
    for (; layout[at - 1] != '\0'; ++at) {
        const char letter = layout[at - 1];
        if (at >= words)
            break;
        if (letter == '.')
            continue;
        const field_range *const range = range_of(letter);
        const int32_t value = (int32_t)record[at];
        plan_require(check, value >= range->low && value <= range->high, range->why);
        if (letter == 'h' || letter == 'H')
            plan_require(check, (int32_t)record[at - 1] <= value, "an activation range ends before it begins");
    }
    plan_require(check, layout[at - 1] == '\0', "a node is shorter than its op needs");
    if (!check->why && (record[0] & 0xFFFFu) == PLAN_CONCATENATION)
        at += 3u * record[offsetof(plan_concatenation, inputs) / 4u];
    plan_require(check, at == words, "a node's length is not that of its op");
}
