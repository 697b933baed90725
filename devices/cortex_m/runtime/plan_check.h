/* Inside the plan runtime: what the files of the validation share.
 *
 * A check goes on after the first complaint, so that it reads as a list of rules; the first complaint is the one that
 * is kept. All arithmetic here is defined for every bit pattern of a record. Nothing of a record may be used as an
 * index before `why` was asked.
 */
#ifndef CORTEX_M_PLAN_CHECK_H
#define CORTEX_M_PLAN_CHECK_H

#include <stdint.h>

#include "plan.h"
#include "runtime.h"

/* A plan and an arena are at most this large. Sums of a few sizes then fit in 32 bits, here and in the kernels. */
#define PLAN_LIMIT 0x40000000u

/* What a product becomes that is over PLAN_LIMIT: larger than every buffer, so the next bounds check refuses it. */
#define PLAN_TOO_MANY 0xFFFFFFFFu

/* `detail` of an error that is not about one node. */
#define PLAN_NO_NODE 0xFFFFu

/* Bytes [start, start + bytes) of the arena. */
typedef struct {
    uint32_t start, bytes;
} plan_region;

typedef struct {
    const uint8_t *plan;
    const plan_header *header;
    plan_region output, scratch; /* of the node that is being checked; 0 bytes before they are known */
    const char *why;             /* the first complaint, or NULL */
} plan_checker;

enum { PLAN_APART = 0, PLAN_IN_PLACE = 1, PLAN_ANY_OVERLAP = 2 };

static inline void plan_complain(plan_checker *check, const char *why)
{
    if (!check->why)
        check->why = why;
}

static inline void plan_require(plan_checker *check, int holds, const char *why)
{
    if (!holds)
        plan_complain(check, why);
}

/* a * b, or PLAN_TOO_MANY. */
uint32_t plan_times(uint32_t a, uint32_t b);

/* Bytes of so many items; nothing to multiply where the compiler knows that an item is a byte. */
static inline uint32_t plan_bytes(uint32_t count, uint32_t item_bytes)
{
    return item_bytes == 1 ? count : plan_times(count, item_bytes);
}

/* ---- plan_check_fields.c ---- */

/* Every field of a node against the range of values that its kernel takes, and the length of the record. `op` is known.
 */
void plan_check_fields(plan_checker *check, const uint32_t *record);

/* ---- plan_check_memory.c ---- */

/* Elements of a tensor; dimensions behind the rank do not count. */
uint32_t plan_elements(plan_checker *check, int32_t rank, const int32_t *dims);

/* Elements from the first to the last one that a walk by `strides` >= 0 meets. */
uint32_t plan_extent(int32_t rank, const int32_t *dims, const int32_t *strides);

/* Whether a walk by `strides` meets the elements one after the other: nothing repeated, nothing left out. */
int plan_is_dense(int32_t rank, const int32_t *dims, const int32_t *strides);

/* An operand that is written: in the arena, inside it, aligned. First of a node's operands to be checked. */
void plan_check_output(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment);

/* Scratch memory, or PLAN_NONE with 0 bytes. Second, where there is any. */
void plan_check_scratch(plan_checker *check, uint32_t operand, uint32_t bytes);

/* An operand that is read: inside the arena or the constants, aligned, clear of the scratch, and of the output but for
 * `overlap`. */
void plan_check_input(plan_checker *check, uint32_t operand, uint32_t bytes, uint32_t alignment, int overlap);

/* A constant table of `count` 32-bit numbers, each in [low, high]. */
void plan_check_table(plan_checker *check, uint32_t operand, uint32_t count, int32_t low, int32_t high,
                      const char *why);

/* ---- plan_check_windows.c, plan_check_ops.c ---- */

void plan_check_conv(plan_checker *check, const uint32_t *record);
void plan_check_transpose_conv(plan_checker *check, const uint32_t *record);
void plan_check_conv_16(plan_checker *check, const uint32_t *record);
void plan_check_conv_float(plan_checker *check, const uint32_t *record);
void plan_check_fully_connected(plan_checker *check, const uint32_t *record);
void plan_check_conv_4(plan_checker *check, const uint32_t *record);
void plan_check_fully_connected_4(plan_checker *check, const uint32_t *record);
void plan_check_pool(plan_checker *check, const uint32_t *record, uint32_t bytes);

/* The relations between the fields of a node, and its operands. Fields are in their ranges. */
void plan_check_node(plan_checker *check, const uint32_t *record);

/* ---- plan_check_more.c: the same for the ops from PLAN_FIRST_MORE on ---- */

void plan_check_more(plan_checker *check, const uint32_t *record);

/* SVDF with a memory of items of `bytes`. */
void plan_check_svdf(plan_checker *check, const plan_svdf *node, uint32_t bytes);

/* ---- plan_check_from_64.c: the ops from PLAN_FIRST_LATE on ---- */

/* The letters of a record's words (plan_check_fields.c), and the relations between its fields. */
const char *plan_layout_from_64(uint32_t op);
void plan_check_from_64(plan_checker *check, const uint32_t *record);
/* ARG_MAX of items of `bytes`. */
void plan_check_arg_max(plan_checker *check, const uint32_t *record, uint32_t bytes);

/* Elements from the first to the last one that the matrices of one input take: `first` to the last matrix's first one.
 */
uint32_t plan_matrices(uint32_t first, int32_t size1, int32_t stride1, int32_t size2, int32_t stride2);

/* ---- plan_check_float.c: the same for the ops from PLAN_FIRST_FLOAT on, and the letters of their fields ---- */

void plan_check_float(plan_checker *check, const uint32_t *record);
const char *plan_float_layout(uint32_t op);

/* ---- plan_check.c ---- */

/* RT_OK, or a code with `error` filled in. `plan` is a multiple of 16. */
int plan_check(const uint8_t *plan, uint32_t plan_bytes, uint32_t arena_bytes, rt_error *error);

#endif
