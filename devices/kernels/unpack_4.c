/* Weights of 4 bits to weights of 8, for the kernels that take those. */
#include "kernels.h"

/* Four numbers of 4 bits, in the lower halves of four bytes, with their signs. No carry leaves its byte. */
static inline uint32_t signed_bytes(uint32_t halves)
{
    return ((halves ^ 0x88888888u) - 0x08080808u) ^ 0x80808080u;
}

void kn_unpack_4(int32_t blocks, const uint32_t *packed, uint32_t *weights)
{
    for (; blocks > 0; --blocks, weights += 4) {
        for (int32_t left = 4; left > 0; --left, ++weights) {
            const uint32_t word = *packed++;
            weights[0] = signed_bytes(word & 0x0F0F0F0Fu);
            weights[4] = signed_bytes(word >> 4 & 0x0F0F0F0Fu);
        }
    }
}
