/* UNIDIRECTIONAL_SEQUENCE_LSTM of 16-bit activations with 8-bit weights.
 *
 * TensorFlow Lite Micro is the one runtime that has it, and this is its arithmetic: gates add up in 64 bits, their
 * functions are those of LOGISTIC and TANH (tables_16.c), and not those of the 8-bit LSTM. */
#include "kernels.h"

enum { FORGET, CELL, OUTPUT, INPUT };

/* What one sequence is at: its step's input, and the hidden state before that step. */
typedef struct {
    const kn_lstm_16_params *params;
    const kn_lstm_weights *weights;
    const int16_t *input, *hidden;
} position;

static int32_t to_16_bits(int32_t value)
{
    return kn_clamp(value, INT16_MIN, INT16_MAX);
}

/* A product of a row of weights, plus a bias of two words or NULL, in Q3.12. */
static int32_t row_sum(const int16_t *values, const int8_t *row, int32_t count, const int32_t *bias, int32_t multiplier,
                       int32_t shift)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < count; ++i)
        sum += values[i] * row[i];
    return to_16_bits(kn_requantize_wide(kn_plus_wide_bias(sum, bias, 0), multiplier, shift));
}

/* A gate of a unit before its function. */
static int32_t gate(const position *at, int32_t which, int32_t unit)
{
    const kn_lstm_16_params *const p = at->params;
    const kn_lstm_weights *const w = at->weights;
    const int32_t row = which * p->units + unit;
    const int32_t *const multipliers = w->multipliers + 2 * which, *const shifts = w->shifts + 2 * which;
    const int32_t seen =
        row_sum(at->input, w->input + row * p->inputs, p->inputs, w->bias + 2 * row, multipliers[0], shifts[0]);
    const int32_t kept = row_sum(at->hidden, w->recurrent + row * p->units, p->units, 0, multipliers[1], shifts[1]);
    return to_16_bits(seen + kept);
}

/* A gate that opens and closes: 3 brings Q3.12 to the steps of the table. */
static int32_t opened(const position *at, const uint16_t *table, int32_t which, int32_t unit)
{
    return kn_logistic_16(table, gate(at, which, unit) * 3);
}

/* a * b / 2^(1 + bits), rounded twice. */
static int32_t product(int32_t a, int32_t b, int32_t bits)
{
    return to_16_bits(kn_divide_by_power_of_two((a * b + 1) >> 1, bits));
}

/* The new cell state of a unit. */
static int32_t cell_state(const position *at, const uint16_t *table, int32_t unit, int32_t before)
{
    const kn_lstm_16_params *const p = at->params;
    const int32_t candidate = kn_tanh_16(table, gate(at, CELL, unit) * 3);
    const int32_t kept = product(opened(at, table, FORGET, unit), before, 14);
    const int32_t added = product(opened(at, table, INPUT, unit), candidate, 14 + p->cell_integer_bits);
    const int32_t sum = to_16_bits(kept + added);
    return p->cell_clip > 0 ? kn_clamp(sum, -p->cell_clip, p->cell_clip) : sum;
}

/* tanh of a cell state, which has steps of 2^(cell_integer_bits - 15), in steps of 2^-15. */
static int32_t tanh_of(const uint16_t *table, int32_t cell, int32_t integer_bits)
{
    const int32_t fine = integer_bits - 3;
    return kn_tanh_16(table, fine >= 0 ? cell * (3 << fine) : (cell * 3 + (1 << (-fine - 1))) >> -fine);
}

/* One step of one sequence. The hidden state stays as it was until all units have read it. */
static void step(const position *at, const uint16_t *table, int16_t *hidden, int16_t *cell, int16_t *output)
{
    const kn_lstm_16_params *const p = at->params;
    for (int32_t unit = 0; unit < p->units; ++unit) {
        cell[unit] = (int16_t)cell_state(at, table, unit, cell[unit]);
        const int32_t both = opened(at, table, OUTPUT, unit) * tanh_of(table, cell[unit], p->cell_integer_bits);
        output[unit] = (int16_t)to_16_bits(kn_requantize(both, p->hidden_multiplier, p->hidden_shift, KN_ROUND_DOUBLE));
    }
    for (int32_t unit = 0; unit < p->units; ++unit)
        hidden[unit] = output[unit];
}

void kn_lstm_16(const kn_lstm_16_params *params, const kn_lstm_weights *weights, const uint16_t table[KN_SIGMOID_TABLE],
                const int16_t *input, int16_t *state, int16_t *output)
{
    const kn_lstm_16_params *const p = params;
    const int32_t sequence = p->time_major ? 1 : p->steps, moment = p->time_major ? p->batches : 1;
    int16_t *const cells = state + p->batches * p->units;
    for (int32_t batch = 0; batch < p->batches; ++batch)
        for (int32_t time = 0; time < p->steps; ++time) {
            const int32_t row = batch * sequence + time * moment;
            int16_t *const hidden = state + batch * p->units;
            const position at = {p, weights, input + row * p->inputs, hidden};
            step(&at, table, hidden, cells + batch * p->units, output + row * p->units);
        }
}
