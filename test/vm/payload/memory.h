/* Whether the payload's own data arrived: with `data` in its file, and with `bss` as zeroes. */
#ifndef PAYLOAD_MEMORY_H
#define PAYLOAD_MEMORY_H

#include "payload.h"

#define BSS_BYTES 0x6100

static volatile uint32_t loaded_data[2] = { 0x600dda7a, 0x12345678 };
static volatile uint8_t zeroed_data[BSS_BYTES];

static void print_own_data(void)
{
	uint32_t dirty = 0;

	for (uint32_t i = 0; i < BSS_BYTES; i++)
		dirty |= zeroed_data[i];
	print("PAYLOAD memory");
	print(loaded_data[0] == 0x600dda7a && loaded_data[1] == 0x12345678 ? " data=good" : " data=bad");
	print(dirty == 0 ? " bss=zero\n" : " bss=dirty\n");
}

#endif
