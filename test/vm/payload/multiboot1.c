/* Prints the multiboot information structure (Multiboot specification 0.6.96, section 3.3). */
#include "memory.h"

struct information {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line, module_count, modules;
	uint32_t symbols[4];
	uint32_t map_bytes, map;
	uint32_t drives_bytes, drives, configuration, loader_name;
};

struct module {
	uint32_t start, end, text, reserved;
};

struct map_entry {
	/* Of what follows. */
	uint32_t bytes;
	uint64_t address, length;
	uint32_t type;
} __attribute__((packed));

#define HAS_MEMORY 0x001
#define HAS_COMMAND_LINE 0x004
#define HAS_MODULES 0x008
#define HAS_MAP 0x040
#define HAS_LOADER_NAME 0x200

static const char *text_at(uint32_t address)
{
	return (const char *)address;
}

static void print_module(const struct module *module)
{
	const uint8_t *bytes = (const uint8_t *)module->start;
	uint32_t count = module->end - module->start;

	print("PAYLOAD module");
	print_field("start", module->start, 8);
	print_field("end", module->end, 8);
	print_text("string", text_at(module->text));
	print_bytes("bytes", bytes, count < 16 ? count : 16);
	print_field("sum", sum_of(bytes, count), 8);
	print("\n");
}

static void print_map(uint32_t address, uint32_t end)
{
	while (address < end) {
		const struct map_entry *entry = (const struct map_entry *)address;
		print("PAYLOAD map");
		print_field("address", entry->address, 16);
		print_field("length", entry->length, 16);
		print_field("type", entry->type, 8);
		print("\n");
		address += entry->bytes + sizeof(entry->bytes);
	}
}

void payload(void)
{
	const struct information *information = (const struct information *)registers.ebx;
	uint32_t flags;

	serial_open();
	print("PAYLOAD multiboot");
	print_field("magic", registers.eax, 8);
	if (registers.eax != 0x2badb002) {
		print("\n");
		power_off();
	}
	flags = information->flags;
	print_field("flags", flags, 8);
	print_text("cmdline", flags & HAS_COMMAND_LINE ? text_at(information->command_line) : 0);
	print_text("loader", flags & HAS_LOADER_NAME ? text_at(information->loader_name) : 0);
	print_field("mods", flags & HAS_MODULES ? information->module_count : 0, 8);
	if (flags & HAS_MEMORY) {
		print_field("lower", information->memory_lower, 8);
		print_field("upper", information->memory_upper, 8);
	}
	print("\n");
	if (flags & HAS_MODULES) {
		for (uint32_t i = 0; i < information->module_count; i++)
			print_module((const struct module *)information->modules + i);
	}
	if (flags & HAS_MAP)
		print_map(information->map, information->map + information->map_bytes);
	print_own_data();
	print_registers();
	print_descriptors();
	power_off();
}
