/* Validation of a plan, part 1: header, sections, inputs and outputs, and the walk over the nodes. */
#include <stddef.h>

#include "../protocol/crc32.h"
#include "plan_check.h"

typedef struct {
    uint32_t start, bytes, alignment;
} section;

/* Sections lie behind the header and inside the plan, at multiples of their alignment, and do not overlap. Empty ones
 * too: their place becomes a pointer. */
static void check_sections(plan_checker *check, const section *sections, uint32_t count)
{
    const uint32_t end = check->header->bytes;
    for (uint32_t i = 0; i < count; ++i) {
        const section s = sections[i];
        plan_require(check, s.start >= sizeof(plan_header) && s.bytes <= end && s.start <= end - s.bytes,
                     "a section does not lie inside the plan");
        plan_require(check, s.start % s.alignment == 0, "a section is not aligned");
        for (uint32_t other = 0; other < i && !check->why; ++other)
            plan_require(check,
                         s.start >= sections[other].start + sections[other].bytes ||
                             sections[other].start >= s.start + s.bytes,
                         "sections of the plan overlap");
    }
}

static void check_header(plan_checker *check, uint32_t plan_bytes)
{
    const plan_header *const h = check->header;
    plan_require(check, plan_bytes >= sizeof(plan_header) && h->magic == PLAN_MAGIC, "this is not a plan");
    if (check->why)
        return;
    plan_require(check, h->version == PLAN_VERSION, "the plan's version is not the one this firmware runs");
    plan_require(check, h->bytes == plan_bytes && plan_bytes % 4 == 0 && plan_bytes <= PLAN_LIMIT,
                 "the plan's length is not the one in its header: it was cut, or something was appended");
    if (check->why)
        return;
    plan_require(check,
                 sp_crc32(0, check->plan + sizeof(plan_header), plan_bytes - (uint32_t)sizeof(plan_header)) == h->crc,
                 "the plan's CRC-32 is wrong: it was damaged on its way");
    plan_require(check, (h->reserved[0] | h->reserved[1] | (PLAN_HAS_STATE ? 0 : h->reset_nodes)) == 0,
                 "a reserved word of the header is not 0");
    plan_require(check, h->arena_bytes <= PLAN_LIMIT, "the plan's arena is over 1 GiB");
    plan_require(check, h->node_count < PLAN_NO_NODE, "the plan has over 65534 nodes");
    if (PLAN_HAS_STATE)
        plan_require(check, h->reset_nodes <= h->node_count, "more nodes run at a reset than there are");
    plan_require(check, h->nodes_bytes % 4 == 0, "the nodes are not whole words");
    plan_require(check, h->input_count <= PLAN_MAX_IO && h->output_count <= PLAN_MAX_IO,
                 "the plan has over 64 inputs or outputs");
    plan_require(check, h->output_count > 0, "the plan has no output");
    if (check->why)
        return;
    const section sections[] = {
        {h->nodes_offset, h->nodes_bytes, 4},
        {h->io_offset, (h->input_count + h->output_count) * (uint32_t)sizeof(plan_io), 4},
        {h->constants_offset, h->constants_bytes, 16},
    };
    check_sections(check, sections, 3);
}

static uint32_t item_bytes(uint32_t type)
{
    return type == PLAN_FLOAT32 || type == PLAN_INT32 ? 4 : type == PLAN_INT16 ? 2 : type == PLAN_INT64 ? 8 : 1;
}

static void check_io(plan_checker *check)
{
    const plan_header *const h = check->header;
    const plan_io *const io = (const plan_io *)(const void *)(check->plan + h->io_offset);
    for (uint32_t i = 0; i < h->input_count + h->output_count; ++i) {
        plan_require(check, io[i].type < PLAN_TYPES, "an input or output has an unknown type");
        plan_require(check, io[i].elements > 0, "an input or output has no elements");
        plan_require(check, io[i].bytes == plan_times(io[i].elements, item_bytes(io[i].type)),
                     "the bytes of an input or output are not those of its elements");
        plan_require(check, io[i].arena_offset % 4 == 0, "an input or output does not start at a multiple of 4");
        plan_require(check, io[i].bytes <= h->arena_bytes && io[i].arena_offset <= h->arena_bytes - io[i].bytes,
                     "an input or output does not lie inside the arena");
        for (uint32_t other = 0; i < h->input_count && other < i && !check->why; ++other)
            plan_require(check,
                         io[i].arena_offset >= io[other].arena_offset + io[other].bytes ||
                             io[other].arena_offset >= io[i].arena_offset + io[i].bytes,
                         "two inputs of the plan overlap");
    }
}

/* No op from this number on is built. */
#define END_OF_OPS (PLAN_HAS_FLOATS ? (uint32_t)PLAN_FLOAT_END : PLAN_HAS_LATE ? PLAN_OPS : PLAN_FIRST_LATE)

/* The length is checked against what is left before anything behind the first word is looked at. */
static int check_nodes(plan_checker *check, rt_error *error)
{
    const plan_region nothing = {0, 0};
    const uint32_t *record = (const uint32_t *)(const void *)(check->plan + check->header->nodes_offset);
    uint32_t left = check->header->nodes_bytes / 4u;
    for (uint32_t node = 0; node < check->header->node_count; ++node) {
        const uint32_t words = left > 0 ? record[0] >> 16 : 0;
        const uint32_t op = left > 0 ? record[0] & 0xFFFFu : 0;
        error->detail = (uint16_t)node;
        if (words == 0 || words > left) {
            plan_complain(check, "a node does not end inside the nodes of the plan");
            return RT_BAD_MODEL;
        }
        if (op == 0 || op >= END_OF_OPS || !PLAN_HAS(op)) {
            plan_complain(check, "this firmware does not have the op");
            return RT_UNSUPPORTED_OP;
        }
        check->output = check->scratch = nothing;
        plan_check_fields(check, record);
        if (!check->why)
            plan_check_node(check, record);
        if (check->why)
            return RT_BAD_MODEL;
        record += words;
        left -= words;
    }
    error->detail = PLAN_NO_NODE;
    plan_require(check, left == 0, "the nodes of the plan are longer than its count of nodes");
    return check->why ? RT_BAD_MODEL : RT_OK;
}

int plan_check(const uint8_t *plan, uint32_t plan_bytes, uint32_t arena_bytes, rt_error *error)
{
    plan_checker check = {plan, (const plan_header *)(const void *)plan, {0, 0}, {0, 0}, NULL};
    int code = RT_BAD_MODEL;
    error->detail = PLAN_NO_NODE;
    check_header(&check, plan_bytes);
    if (!check.why)
        check_io(&check);
    if (!check.why && check.header->arena_bytes > arena_bytes) {
        plan_complain(&check, "the plan needs a larger arena than this board has");
        code = RT_TOO_LARGE;
    }
    if (!check.why)
        code = check_nodes(&check, error);
    error->text = check.why ? check.why : "";
    return code;
}
