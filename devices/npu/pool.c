/* Memory of a partition: taken piece by piece, given back at once. */
#include <stdlib.h>
#include <string.h>

#include "npu.h"

struct npu_block {
    npu_block *next;
    max_align_t memory[];
};

void *npu_alloc(npu_pool *pool, size_t bytes)
{
    /* max_align_t is 16 bytes on both targets; an empty tensor still gets an address of its own. */
    npu_block *block = calloc(1, sizeof *block + (bytes ? bytes : 1));
    if (!block)
        return NULL;
    block->next = pool->first;
    pool->first = block;
    return block->memory;
}

void npu_free_all(npu_pool *pool)
{
    while (pool->first) {
        npu_block *next = pool->first->next;
        free(pool->first);
        pool->first = next;
    }
}
