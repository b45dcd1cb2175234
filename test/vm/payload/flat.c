/*
 * The purgatory's target: prints the registers and the memory that it is asked for by a list at 0x2000 (32-bit and 64-bit)
 * or whether the BIOS works (16-bit).
 */
#if BITS == 16
#include "bios.h"
#else
#include "vga.h"

struct question {
	uint64_t address, bytes;
};

struct questions {
	uint64_t count;
	struct question list[8];
};

static void print_answers(const volatile struct questions *questions)
{
	for (uint64_t i = 0; i < questions->count; i++) {
		print("PAYLOAD memory");
		print_field("address", questions->list[i].address, 16);
		print_bytes("bytes", (const volatile uint8_t *)(word)questions->list[i].address, questions->list[i].bytes);
		print("\n");
	}
}
#endif

void payload(void)
{
	serial_open();
	print("PAYLOAD flat\n");
	print_registers();
#if BITS == 16
	print_bios();
#else
	print_descriptors();
	print_answers((const volatile struct questions *)0x2000);
	print("PAYLOAD vga");
	print_vga();
#endif
	power_off();
}
