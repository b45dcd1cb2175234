/* SHA-256 (FIPS 180-4). */
#ifndef SLIPWAY_PURGATORY_SHA256_H
#define SLIPWAY_PURGATORY_SHA256_H

#include <stdint.h>

#define SHA256_BLOCK_BYTES 64

struct sha256 {
	uint32_t state[8];
	/* All that went in. */
	uint64_t bytes;
	/* What is not yet a whole block: bytes % 64 of it. */
	uint8_t rest[SHA256_BLOCK_BYTES];
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const uint8_t *data, uint64_t bytes);
void sha256_end(struct sha256 *hash, uint8_t digest[32]);

#endif
