/* Loads the segments of a scenario (a multiboot module; test/vm/purgatory.test.ts makes it) and enters the purgatory. */
#include "vga.h"

struct segment {
	uint64_t address;
	/* Of the content, from the start of the scenario. */
	uint64_t offset, bytes;
	/* What the content does not fill is filled with something that is not zero. */
	uint64_t memory_bytes;
};

struct scenario {
	uint64_t entry, on_stack;
	uint32_t flags, segment_count;
	uint64_t registers;
	struct segment segments[];
};

/* start.S looks at bit 0: five levels of page tables. */
#define SCRAMBLE_PIC 0x2
#define SCRAMBLE_VGA 0x4

void kernel(const struct scenario *scenario);
void jump(uint64_t entry, uint64_t on_stack, uint64_t registers) __attribute__((noreturn));

static void load(const uint8_t *content, const struct segment *segment)
{
	volatile uint8_t *memory = (volatile uint8_t *)segment->address;

	for (uint64_t i = 0; i < segment->memory_bytes; i++)
		memory[i] = i < segment->bytes ? content[i] : 0xa5;
}

/* As Linux has them: vectors from 0x20 on, everything masked, the timer stopped in one-shot mode. */
static void scramble_pic(void)
{
	for (uint16_t port = 0x20; port <= 0xa0; port += 0x80) {
		out8(port, 0x11);
		out8(port + 1, port == 0x20 ? 0x20 : 0x28);
		out8(port + 1, port == 0x20 ? 0x04 : 0x02);
		out8(port + 1, 0x01);
		out8(port + 1, 0xff);
	}
	out8(0x43, 0x30);
}

/* A graphics mode that nobody has ever seen, and a palette of one colour. */
static void scramble_vga(void)
{
	print("KERNEL vga");
	print_vga();
	out8(0x3c2, 0xe3);
	for (int i = 1; i < 5; i++)
		out16(0x3c4, 0x0600 | i);
	out16(0x3d4, 0x0011);
	for (int i = 0; i < 0x19; i++)
		out16(0x3d4, 0x5a00 | i);
	out16(0x3d4, 0x8011);
	for (int i = 0; i < 9; i++)
		out16(0x3ce, 0x0500 | i);
	in8(0x3da);
	for (int i = 0; i < 0x15; i++) {
		out8(0x3c0, i);
		out8(0x3c0, 0x11);
	}
	out8(0x3c8, 0);
	for (int i = 0; i < 3 * 64; i++)
		out8(0x3c9, 0x15);
}

void kernel(const struct scenario *scenario)
{
	uint64_t entry = scenario->entry, on_stack = scenario->on_stack, registers = scenario->registers;
	uint32_t flags = scenario->flags;

	serial_open();
	for (uint32_t i = 0; i < scenario->segment_count; i++)
		load((const uint8_t *)scenario + scenario->segments[i].offset, &scenario->segments[i]);
	if (flags & SCRAMBLE_PIC)
		scramble_pic();
	if (flags & SCRAMBLE_VGA)
		scramble_vga();
	print("KERNEL jump\n");
	jump(entry, on_stack, registers);
}
