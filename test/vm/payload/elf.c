/*
 * Prints the registers, and what they point to: Linux' boot parameters in (r)si (Documentation/arch/x86/zero-page.rst),
 * or Etherboot's ELF boot notes. Those may come as a C function's first argument, as kexec-tools hands them over, or in
 * ebx with their magic in eax.
 */
#include "memory.h"

#define NOTES_MAGIC 0x0e1fb007
/* Below here an argument may be a pointer to something. */
#define MEMORY_END 0x40000000

struct notes_header {
	uint32_t magic, bytes;
	uint16_t checksum, count;
};

struct note {
	uint32_t name_bytes, text_bytes, type;
};

static void print_notes(const struct notes_header *header)
{
	const uint8_t *at = (const uint8_t *)(header + 1);

	print("PAYLOAD notes");
	print_field("magic", header->magic, 8);
	print_field("bytes", header->bytes, 8);
	print_field("count", header->count, 8);
	print("\n");
	for (uint32_t i = 0; i < header->count; i++) {
		const struct note *note = (const struct note *)at;
		at += sizeof(*note) + ((note->name_bytes + 3) & ~3u);
		print("PAYLOAD note");
		print_field("type", note->type, 8);
		print_field("bytes", note->text_bytes, 8);
		print_text("text", note->text_bytes == 0 ? 0 : (const char *)at);
		print("\n");
		at += (note->text_bytes + 3) & ~3u;
	}
}

static uint32_t read32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void print_boot_parameters(const uint8_t *parameters)
{
	word command_line = read32(parameters + 0x228);
#if BITS == 64
	command_line |= (word)read32(parameters + 0x0c8) << 32;
#endif
	print("PAYLOAD boot_params");
	print_field("loader", parameters[0x210], 2);
	print_field("initrd", read32(parameters + 0x218), 8);
	print_field("initrdbytes", read32(parameters + 0x21c), 8);
	print_field("e820", parameters[0x1e8], 2);
	print_text("cmdline", (const char *)command_line);
	print("\n");
}

static int is_pointer(word value)
{
	return value >= 0x1000 && value < MEMORY_END && value % 4 == 0;
}

static word first_argument(void)
{
#if BITS == 64
	return registers.rdi;
#else
	return is_pointer(registers.esp) ? ((const word *)registers.esp)[1] : 0;
#endif
}

static int are_notes(word address)
{
	return is_pointer(address) && ((const struct notes_header *)address)->magic == NOTES_MAGIC;
}

void payload(void)
{
#if BITS == 64
	word notes = registers.rbx, magic = registers.rax, parameters = registers.rsi;
#else
	word notes = registers.ebx, magic = registers.eax, parameters = registers.esi;
#endif
	word argument = first_argument();

	serial_open();
	print("PAYLOAD elf");
	print_field("argument", argument, 2 * sizeof(word));
	print("\n");
	if (are_notes(argument))
		print_notes((const struct notes_header *)argument);
	else if (magic == NOTES_MAGIC && are_notes(notes))
		print_notes((const struct notes_header *)notes);
	if (is_pointer(parameters))
		print_boot_parameters((const uint8_t *)parameters);
	print_own_data();
	print_registers();
	print_descriptors();
	power_off();
}
