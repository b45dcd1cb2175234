/* SHA-256 (FIPS 180-4), with plain registers only: the target's floating-point state is not ours to touch. */
#include "sha256.h"

/* Section 4.2.2. */
static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t value, unsigned int bits)
{
	return value >> bits | value << (32 - bits);
}

static inline uint32_t read_be32(const uint8_t *data)
{
	uint32_t value;
	__builtin_memcpy(&value, data, sizeof(value));
	return __builtin_bswap32(value);
}

static inline void write_be32(uint8_t *data, uint32_t value)
{
	value = __builtin_bswap32(value);
	__builtin_memcpy(data, &value, sizeof(value));
}

/* Section 4.1.2. */
static inline uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
	return z ^ (x & (y ^ z));
}

static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) | (z & (x | y));
}

static inline uint32_t sum0(uint32_t x)
{
	return rotate(x, 2) ^ rotate(x, 13) ^ rotate(x, 22);
}

static inline uint32_t sum1(uint32_t x)
{
	return rotate(x, 6) ^ rotate(x, 11) ^ rotate(x, 25);
}

static inline uint32_t sigma0(uint32_t x)
{
	return rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
}

static inline uint32_t sigma1(uint32_t x)
{
	return rotate(x, 17) ^ rotate(x, 19) ^ x >> 10;
}

/* One round; the eight variables change their roles from call to call instead of being moved. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                               \
	do {                                                                           \
		uint32_t t = h + sum1(e) + choose(e, f, g) + k[i] + w[i];              \
		d += t;                                                                \
		h = t + sum0(a) + majority(a, b, c);                                   \
	} while (0)

/* The next sixteen words of the schedule take the place of the last ones. */
static inline void extend(uint32_t w[16])
{
	for (int i = 0; i < 16; i++)
		w[i] += sigma1(w[(i + 14) & 15]) + w[(i + 9) & 15] + sigma0(w[(i + 1) & 15]);
}

/* Section 6.2.2. */
static void add_block(uint32_t state[8], const uint8_t *data)
{
	uint32_t w[16];
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

	for (int i = 0; i < 16; i++)
		w[i] = read_be32(data + 4 * i);
	for (const uint32_t *k = constants;;) {
		ROUND(a, b, c, d, e, f, g, h, 0);
		ROUND(h, a, b, c, d, e, f, g, 1);
		ROUND(g, h, a, b, c, d, e, f, 2);
		ROUND(f, g, h, a, b, c, d, e, 3);
		ROUND(e, f, g, h, a, b, c, d, 4);
		ROUND(d, e, f, g, h, a, b, c, 5);
		ROUND(c, d, e, f, g, h, a, b, 6);
		ROUND(b, c, d, e, f, g, h, a, 7);
		ROUND(a, b, c, d, e, f, g, h, 8);
		ROUND(h, a, b, c, d, e, f, g, 9);
		ROUND(g, h, a, b, c, d, e, f, 10);
		ROUND(f, g, h, a, b, c, d, e, 11);
		ROUND(e, f, g, h, a, b, c, d, 12);
		ROUND(d, e, f, g, h, a, b, c, 13);
		ROUND(c, d, e, f, g, h, a, b, 14);
		ROUND(b, c, d, e, f, g, h, a, 15);
		k += 16;
		if (k == constants + 64)
			break;
		extend(w);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

/* Section 5.3.3. */
void sha256_begin(struct sha256 *hash)
{
	hash->state[0] = 0x6a09e667;
	hash->state[1] = 0xbb67ae85;
	hash->state[2] = 0x3c6ef372;
	hash->state[3] = 0xa54ff53a;
	hash->state[4] = 0x510e527f;
	hash->state[5] = 0x9b05688c;
	hash->state[6] = 0x1f83d9ab;
	hash->state[7] = 0x5be0cd19;
	hash->bytes = 0;
}

/* One byte for the rest; a full rest is a block. */
static inline void add_byte(struct sha256 *hash, uint8_t byte)
{
	hash->rest[hash->bytes++ % SHA256_BLOCK_BYTES] = byte;
	if (hash->bytes % SHA256_BLOCK_BYTES == 0)
		add_block(hash->state, hash->rest);
}

void sha256_add(struct sha256 *hash, const uint8_t *data, uint64_t bytes)
{
	const uint8_t *end = data + bytes;

	while (data != end && hash->bytes % SHA256_BLOCK_BYTES != 0)
		add_byte(hash, *data++);
	for (; (uint64_t)(end - data) >= SHA256_BLOCK_BYTES; data += SHA256_BLOCK_BYTES) {
		add_block(hash->state, data);
		hash->bytes += SHA256_BLOCK_BYTES;
	}
	while (data != end)
		add_byte(hash, *data++);
}

/* Section 5.1.1: a one bit, zeroes, and the length in bits, which ends a block. */
void sha256_end(struct sha256 *hash, uint8_t digest[32])
{
	uint64_t bits = hash->bytes * 8;

	add_byte(hash, 0x80);
	while (hash->bytes % SHA256_BLOCK_BYTES != SHA256_BLOCK_BYTES - 8)
		add_byte(hash, 0);
	for (int shift = 56; shift >= 0; shift -= 8)
		add_byte(hash, bits >> shift);
	for (int i = 0; i < 8; i++)
		write_be32(digest + 4 * i, hash->state[i]);
}
