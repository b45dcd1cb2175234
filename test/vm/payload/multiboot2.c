/* Prints the boot information tags (Multiboot 2 specification 2.0, section 3.6). */
#include "memory.h"

enum {
	TAG_END = 0,
	TAG_COMMAND_LINE = 1,
	TAG_LOADER_NAME = 2,
	TAG_MODULE = 3,
	TAG_MEMORY = 4,
	TAG_MAP = 6,
	TAG_LOAD_BASE = 21,
};

struct tag {
	uint32_t type, bytes;
	/* What follows depends on the type. */
	uint32_t values[];
};

struct map_entry {
	uint64_t address, length;
	uint32_t type, reserved;
};

static const struct tag *next_tag(const struct tag *tag)
{
	return (const struct tag *)((const uint8_t *)tag + ((tag->bytes + 7) & ~7u));
}

static void print_module(const struct tag *tag)
{
	const uint8_t *bytes = (const uint8_t *)tag->values[0];
	uint32_t count = tag->values[1] - tag->values[0];

	print("PAYLOAD module");
	print_field("start", tag->values[0], 8);
	print_field("end", tag->values[1], 8);
	print_text("string", (const char *)&tag->values[2]);
	print_bytes("bytes", bytes, count < 16 ? count : 16);
	print_field("sum", sum_of(bytes, count), 8);
	print("\n");
}

static void print_map(const struct tag *tag)
{
	uint32_t entry_bytes = tag->values[0];
	const uint8_t *end = (const uint8_t *)tag + tag->bytes;

	for (const uint8_t *at = (const uint8_t *)&tag->values[2]; at < end; at += entry_bytes) {
		const struct map_entry *entry = (const struct map_entry *)at;
		print("PAYLOAD map");
		print_field("address", entry->address, 16);
		print_field("length", entry->length, 16);
		print_field("type", entry->type, 8);
		print("\n");
	}
}

static void print_tag(const struct tag *tag)
{
	switch (tag->type) {
	case TAG_COMMAND_LINE:
	case TAG_LOADER_NAME:
		print(tag->type == TAG_COMMAND_LINE ? "PAYLOAD cmdline" : "PAYLOAD loader");
		print_text("text", (const char *)tag->values);
		print("\n");
		break;
	case TAG_MODULE:
		print_module(tag);
		break;
	case TAG_MEMORY:
		print("PAYLOAD basic");
		print_field("lower", tag->values[0], 8);
		print_field("upper", tag->values[1], 8);
		print("\n");
		break;
	case TAG_MAP:
		print_map(tag);
		break;
	case TAG_LOAD_BASE:
		print("PAYLOAD base");
		print_field("address", tag->values[0], 8);
		print("\n");
		break;
	default:
		print("PAYLOAD tag");
		print_field("type", tag->type, 8);
		print_field("bytes", tag->bytes, 8);
		print("\n");
	}
}

void payload(void)
{
	const struct tag *tag;

	serial_open();
	print("PAYLOAD multiboot2");
	print_field("magic", registers.eax, 8);
	if (registers.eax != 0x36d76289) {
		print("\n");
		power_off();
	}
	print_field("information", registers.ebx, 8);
	print_field("bytes", *(const uint32_t *)registers.ebx, 8);
	print_field("at", (uint32_t)&payload, 8);
	print("\n");
	for (tag = (const struct tag *)(registers.ebx + 8); tag->type != TAG_END; tag = next_tag(tag))
		print_tag(tag);
	print_own_data();
	print_registers();
	print_descriptors();
	power_off();
}
