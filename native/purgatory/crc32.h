/* CRC-32 (ISO/IEC 8802-3, section 3.2.9; the polynomial 0x04c11db7, bits reflected), as zlib computes it. */
#ifndef SLIPWAY_PURGATORY_CRC32_H
#define SLIPWAY_PURGATORY_CRC32_H

#include <stdint.h>

/* Four tables of what a byte does to the remainder, one, two, three and four bytes later. */
struct crc32_tables {
	uint32_t after[4][256];
};

void crc32_prepare(struct crc32_tables *tables);

/* The checksum of what went before, 0 at first, and these bytes. */
uint32_t crc32_add(const struct crc32_tables *tables, uint32_t crc, const uint8_t *data, uint64_t bytes);

#endif
