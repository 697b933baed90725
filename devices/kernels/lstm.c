/* UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with a 16-bit cell state. */
#include <string.h>

#include "kernels.h"
#include "sigmoid_16.h"
#include "taps.h"

enum { FORGET, CELL, OUTPUT, INPUT };

/* What one sequence is at: its step's input, and the state before that step. */
typedef struct {
    const kn_lstm_params *params;
    const kn_lstm_weights *weights;
    const int8_t *input;
    const int16_t *hidden;
} position;

static int32_t to_16_bits(int32_t value)
{
    return kn_clamp(value, INT16_MIN, INT16_MAX);
}

/* A gate of a unit before its function, in Q3.12: two products, each scaled and rounded by itself. */
static int16_t gate(const position *at, int32_t which, int32_t unit)
{
    const kn_lstm_params *const p = at->params;
    const kn_lstm_weights *const w = at->weights;
    const int32_t row = which * p->units + unit;
    const int32_t *const multipliers = w->multipliers + 2 * which, *const shifts = w->shifts + 2 * which;
    const int8_t *const recurrent = w->recurrent + row * p->units;
    const uint32_t seen =
        (uint32_t)w->bias[row] + kn_dot(at->input, w->input + row * p->inputs, p->inputs, p->input_offset, 0);
    uint32_t kept = 0;
    for (int32_t i = 0; i < p->units; ++i)
        kept += (uint32_t)(at->hidden[i] * recurrent[i]);
    const int32_t first = kn_requantize((int32_t)seen, multipliers[0], shifts[0], KN_ROUND_DOUBLE);
    const int32_t second = kn_requantize((int32_t)kept, multipliers[1], shifts[1], KN_ROUND_DOUBLE);
    return (int16_t)to_16_bits(kn_wrap_add(second, to_16_bits(first)));
}

/* The new cell state of a unit. */
static int16_t cell_state(const position *at, int32_t unit, int16_t before)
{
    const kn_lstm_params *const p = at->params;
    const int32_t forget = kn_gate_logistic(gate(at, FORGET, unit));
    const int32_t let_in = p->gates > INPUT ? kn_gate_logistic(gate(at, INPUT, unit)) : INT16_MAX - forget;
    const int32_t candidate = kn_gate_tanh(gate(at, CELL, unit), 3);
    const int16_t kept = (int16_t)kn_divide_by_power_of_two(forget * before, 15);
    const int16_t added = (int16_t)kn_divide_by_power_of_two(let_in * candidate, 15 + p->cell_integer_bits);
    const int32_t sum = to_16_bits(kept + added);
    return (int16_t)(p->cell_clip > 0 ? kn_clamp(sum, -p->cell_clip, p->cell_clip) : sum);
}

/* One step of one sequence. The hidden state stays as it was until all units have read it. */
static void step(const position *at, int16_t *hidden, int16_t *cell, int8_t *output)
{
    const kn_lstm_params *const p = at->params;
    for (int32_t unit = 0; unit < p->units; ++unit) {
        cell[unit] = cell_state(at, unit, cell[unit]);
        const int32_t opened = kn_gate_logistic(gate(at, OUTPUT, unit));
        const int32_t product = opened * kn_gate_tanh(cell[unit], p->cell_integer_bits);
        output[unit] = kn_requantize_to_int8(product, p->hidden_multiplier, p->hidden_shift, KN_ROUND_DOUBLE,
                                             p->hidden_zero_point, INT8_MIN, INT8_MAX);
    }
    for (int32_t unit = 0; unit < p->units; ++unit)
        hidden[unit] = (int16_t)(output[unit] - p->state_zero_point);
}

void kn_lstm(const kn_lstm_params *params, const kn_lstm_weights *weights, const int8_t *input, int16_t *state,
             int8_t *output)
{
    const kn_lstm_params *const p = params;
    const int32_t sequence = p->time_major ? 1 : p->steps, moment = p->time_major ? p->batches : 1;
    int16_t *const cells = state + p->batches * p->units;
    for (int32_t batch = 0; batch < p->batches; ++batch)
        for (int32_t time = 0; time < p->steps; ++time) {
            const int32_t row = batch * sequence + time * moment;
            int16_t *const hidden = state + batch * p->units;
            const position at = {p, weights, input + row * p->inputs, hidden};
            step(&at, hidden, cells + batch * p->units, output + row * p->units);
        }
}
