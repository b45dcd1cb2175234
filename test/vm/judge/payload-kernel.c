/* The judged kernel: says over the first serial port which kernel it is and what it was given, and ends QEMU. */
#include "../payload/payload.h"

#define MULTIBOOT_BOOTED 0x2badb002
#define MULTIBOOT2_BOOTED 0x36d76289
/* Of a file: more than so many bytes are told by their sum alone. */
#define SHOWN_BYTES_MAX 0x10000

extern const char kernel_name[64] __attribute__((visibility("hidden")));
void judged(uint32_t magic, const uint8_t *info);

static uint32_t number_at(const uint8_t *bytes, uint32_t offset)
{
	return *(const volatile uint32_t *)(bytes + offset);
}

static const uint8_t *pointer_at(const uint8_t *bytes, uint32_t offset)
{
	return (const uint8_t *)number_at(bytes, offset);
}

static uint32_t length_of(const uint8_t *text)
{
	uint32_t length = 0;
	if (text != 0)
		while (text[length] != 0)
			length++;
	return length;
}

static void print_command_line(const uint8_t *text)
{
	print("JUDGED options");
	print_bytes("data", text, length_of(text));
	print("\n");
}

static void print_file(const char *kind, const uint8_t *bytes, uint32_t size, const uint8_t *options)
{
	print("JUDGED ");
	print(kind);
	print_field("bytes", size, 8);
	print_field("sum", sum_of(bytes, size), 8);
	print_bytes("options", options, length_of(options));
	print_bytes("data", bytes, size > SHOWN_BYTES_MAX ? 0 : size);
	print("\n");
}

/* Boot parameters: version 2.02 and later give the command line's address. */
static void linux_told(const uint8_t *parameters)
{
	print("JUDGED protocol linux\n");
	print_command_line(pointer_at(parameters, 0x228));
	if (number_at(parameters, 0x21c) != 0)
		print_file("initrd", pointer_at(parameters, 0x218), number_at(parameters, 0x21c), 0);
}

/* Multiboot Specification 0.6.96, section 3.3 */
static void multiboot_told(const uint8_t *info)
{
	const uint8_t *module = pointer_at(info, 24);

	print("JUDGED protocol multiboot\n");
	print_command_line((number_at(info, 0) & 4) != 0 ? pointer_at(info, 16) : 0);
	if ((number_at(info, 0) & 8) == 0)
		return;
	for (uint32_t left = number_at(info, 20); left > 0; left--, module += 16)
		print_file("module", pointer_at(module, 0), number_at(module, 4) - number_at(module, 0),
			   pointer_at(module, 8));
}

/* Multiboot2 Specification 2.0, section 3.6 */
static void multiboot2_told(const uint8_t *info)
{
	const uint8_t *end = info + number_at(info, 0);

	print("JUDGED protocol multiboot2\n");
	for (const uint8_t *tag = info + 8; tag < end; tag += (number_at(tag, 4) + 7) & ~7u) {
		if (number_at(tag, 0) == 0)
			break;
		if (number_at(tag, 0) == 1)
			print_command_line(tag + 8);
		if (number_at(tag, 0) == 3)
			print_file("module", pointer_at(tag, 8), number_at(tag, 12) - number_at(tag, 8), tag + 16);
	}
}

void judged(uint32_t magic, const uint8_t *info)
{
	serial_open();
	print("\nJUDGED name");
	print_bytes("data", (const uint8_t *)kernel_name, length_of((const uint8_t *)kernel_name));
	print("\n");
	if (magic == MULTIBOOT_BOOTED)
		multiboot_told(info);
	else if (magic == MULTIBOOT2_BOOTED)
		multiboot2_told(info);
	else
		linux_told(info);
	print("JUDGED end\n");
	while ((in8(COM1 + 5) & 0x40) == 0)
		;
	out8(0xf4, 0x10);
	for (;;)
		__asm__ volatile("hlt");
}
