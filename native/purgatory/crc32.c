#include "crc32.h"

#define POLYNOMIAL_REFLECTED 0xedb88320

void crc32_prepare(struct crc32_tables *tables)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = byte;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL_REFLECTED : 0);
		tables->after[0][byte] = crc;
	}
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = tables->after[0][byte];
		for (int later = 1; later < 4; later++) {
			crc = (crc >> 8) ^ tables->after[0][crc & 0xff];
			tables->after[later][byte] = crc;
		}
	}
}

uint32_t crc32_add(const struct crc32_tables *tables, uint32_t crc, const uint8_t *data, uint64_t bytes)
{
	const uint32_t (*after)[256] = tables->after;

	crc = ~crc;
	/* Four bytes at a time; this processor does not mind at what address they are. */
	for (; bytes >= 4; bytes -= 4, data += 4) {
		uint32_t word;
		__builtin_memcpy(&word, data, sizeof(word));
		crc ^= word;
		crc = after[3][crc & 0xff] ^ after[2][crc >> 8 & 0xff] ^ after[1][crc >> 16 & 0xff] ^ after[0][crc >> 24];
	}
	for (; bytes > 0; bytes--, data++)
		crc = (crc >> 8) ^ after[0][(crc ^ *data) & 0xff];
	return ~crc;
}
