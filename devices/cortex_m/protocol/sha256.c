/* SHA-256, FIPS 180-4. The message schedule is kept in 16 words and made while the rounds go. */
#include <string.h>

#include "protocol.h"

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotated(uint32_t x, unsigned bits)
{
    return (x >> bits) | (x << (32 - bits));
}

static uint32_t big_endian(const uint8_t *at)
{
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[16], v[8];
    memcpy(v, state, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        if (i < 16) {
            w[i] = big_endian(block + 4 * i);
        } else {
            uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
            w[i & 15] += (rotated(a, 7) ^ rotated(a, 18) ^ (a >> 3)) + w[(i + 9) & 15] +
                         (rotated(b, 17) ^ rotated(b, 19) ^ (b >> 10));
        }
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (v[6] ^ (e & (v[5] ^ v[6]))) +
                      round_constants[i] + w[i & 15];
        uint32_t t2 = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & v[1]) | (v[2] & (a | v[1])));
        for (unsigned j = 7; j > 0; j--) {
            v[j] = v[j - 1];
            __asm__ volatile(""); /* or the compiler makes a memmove of it, which is 250 bytes of code */
        }
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += v[i];
}

void sp_sha256_begin(sp_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->total = 0;
}

void sp_sha256_add(sp_sha256 *hash, const uint8_t *bytes, uint32_t count)
{
    while (count) {
        uint32_t used = hash->total & 63, part = 64 - used;
        if (used == 0 && count >= 64) {
            compress(hash->state, bytes); /* straight from the caller's memory */
        } else {
            if (part > count)
                part = count;
            memcpy(hash->block + used, bytes, part);
            if (used + part == 64)
                compress(hash->state, hash->block);
        }
        hash->total += part;
        bytes += part;
        count -= part;
    }
}

void sp_sha256_end(sp_sha256 *hash, uint8_t digest[32])
{
    uint32_t total = hash->total, used = total & 63;
    hash->block[used++] = 0x80;
    if (used > 56) {
        memset(hash->block + used, 0, 64 - used);
        compress(hash->state, hash->block);
        used = 0;
    }
    memset(hash->block + used, 0, 64 - used);
    for (unsigned i = 0; i < 4; i++)
        hash->block[63 - i] = (uint8_t)((total << 3) >> (8 * i));
    compress(hash->state, hash->block);
    for (unsigned i = 0; i < 32; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}
