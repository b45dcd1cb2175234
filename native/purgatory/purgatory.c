/*
 * What happens between the running kernel and the target, in 64-bit mode on a stack of its own. Either everything is in
 * order and purgatory() returns, to jump, or the machine is reset: one that nobody watches has to come back.
 */
#include "block.h"
#include "console.h"
#include "crc32.h"
#include "legacy.h"
#include "ports.h"
#include "sha256.h"

extern const uint8_t no_idt_pointer[];
extern uint64_t return_address;

void purgatory(void);

#define RESET_CONTROL 0xcf9
#define RESET_PREPARE 0x02
#define RESET_HARD 0x06
#define KEYBOARD_CONTROL 0x64
#define KEYBOARD_INPUT_FULL 0x02
#define KEYBOARD_PULSE_RESET 0xfe
/* About a tenth of a second. */
#define RESET_PAUSES 100000
#define KEYBOARD_POLLS_MAX 100000

static void pause_for_reset(void)
{
	for (int i = 0; i < RESET_PAUSES; i++)
		short_pause();
}

/* The chipset's reset register, the keyboard controller, and at last a fault without a handler: one of them works. */
static __attribute__((noreturn)) void reset_machine(void)
{
	out8(RESET_CONTROL, RESET_PREPARE);
	short_pause();
	out8(RESET_CONTROL, RESET_HARD);
	pause_for_reset();
	for (int i = 0; i < KEYBOARD_POLLS_MAX && (in8(KEYBOARD_CONTROL) & KEYBOARD_INPUT_FULL) != 0; i++)
		;
	out8(KEYBOARD_CONTROL, KEYBOARD_PULSE_RESET);
	pause_for_reset();
	for (;;)
		__asm__ volatile("lidt (%0)\n\tud2" : : "r"(no_idt_pointer));
}

static __attribute__((noreturn)) void give_up(const char *reason)
{
	console_say(reason);
	reset_machine();
}

static const uint8_t *memory_at(uint64_t address)
{
	return (const uint8_t *)address;
}

/* In a frame of its own: the tables take a good part of the stack. */
static __attribute__((noinline)) int crc32_matches(void)
{
	struct crc32_tables tables;
	uint32_t expected;
	uint32_t crc = 0;

	crc32_prepare(&tables);
	for (uint32_t i = 0; i < block.region_count && i < REGIONS_MAX; i++)
		crc = crc32_add(&tables, crc, memory_at(block.regions[i].address), block.regions[i].bytes);
	__builtin_memcpy(&expected, block.sha256, sizeof(expected));
	return crc == expected;
}

static __attribute__((noinline)) int sha256_matches(void)
{
	struct sha256 hash;
	uint8_t digest[sizeof(block.sha256)];
	uint8_t difference = 0;

	sha256_begin(&hash);
	for (uint32_t i = 0; i < block.region_count && i < REGIONS_MAX; i++)
		sha256_add(&hash, memory_at(block.regions[i].address), block.regions[i].bytes);
	sha256_end(&hash, digest);
	for (unsigned int i = 0; i < sizeof(digest); i++)
		difference |= digest[i] ^ block.sha256[i];
	return difference == 0;
}

static int digest_matches(void)
{
	if ((block.flags & FLAG_CRC32) != 0)
		return crc32_matches();
	return (block.flags & FLAG_DIGEST) == 0 || sha256_matches();
}

static void copy_backup(void)
{
	uint64_t source = block.backup_source, destination = block.backup_destination, bytes = block.backup_bytes;

	__asm__ volatile("rep movsb" : "+S"(source), "+D"(destination), "+c"(bytes) : : "memory");
}

static char *append_text(char *end, const char *text)
{
	while (*text != '\0')
		*end++ = *text++;
	return end;
}

/* Hexadecimal without leading zeroes. */
static char *append_number(char *end, uint64_t number)
{
	int shift = 60;

	while (shift > 0 && number >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4) {
		unsigned int digit = number >> shift & 0xf;
		*end++ = digit < 10 ? '0' + digit : 'a' + digit - 10;
	}
	return end;
}

/* Tells the target's command line where it can jump back to. */
static void append_jump_back_entry(void)
{
	char *end = (char *)block.jump_back_text;

	end = append_text(end, " kexec_jump_back_entry=0x");
	end = append_number(end, return_address);
	*end = '\0';
}

#define CR4_LA57 (1 << 12)
#define ENTRY_PRESENT 1
#define ENTRY_LARGE_PAGE (1 << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000
/* Where AMD's processors have the bit that tells encrypted memory from shared memory: no memory has such an address. */
#define ENTRY_ENCRYPTION (1ull << 47 | 1ull << 51)

/* That bit as the running kernel's tables have it for this very memory; 0 where nothing is encrypted. */
static uint64_t encryption_of_memory(void)
{
	uint64_t own = (uint64_t)&block, entry, cr4;

	__asm__ volatile("movq %%cr3, %0" : "=r"(entry));
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	for (int shift = (cr4 & CR4_LA57) != 0 ? 48 : 39;; shift -= 9) {
		const uint64_t *table = (const uint64_t *)(entry & ENTRY_ADDRESS & ~ENTRY_ENCRYPTION);
		entry = table[own >> shift & 0x1ff];
		if (shift == 12 || (shift <= 30 && (entry & ENTRY_LARGE_PAGE) != 0))
			return entry & ENTRY_ENCRYPTION;
	}
}

/* The tables were made by a program, which cannot know how a guest's memory is encrypted. */
static void finish_page_tables(void)
{
	uint64_t *entry = (uint64_t *)block.tables_start, encryption;

	if (block.page_tables == 0)
		return;
	encryption = encryption_of_memory();
	for (uint64_t i = 0; encryption != 0 && i < block.tables_bytes / sizeof(*entry); i++)
		if ((entry[i] & ENTRY_PRESENT) != 0)
			entry[i] |= encryption;
}

static int mode_is_known(void)
{
	return block.mode == MODE_64 || block.mode == MODE_32 || block.mode == MODE_16;
}

void purgatory(void)
{
	if ((block.flags & FLAG_RESET_VGA) != 0)
		vga_reset();
	console_open();
	if (!mode_is_known())
		give_up("purgatory: its parameters name no target; resetting");
	if (!digest_matches())
		give_up("purgatory: the loaded image has changed in memory; resetting");
	console_say("I'm in purgatory");
	copy_backup();
	if ((block.flags & FLAG_JUMP_BACK) != 0)
		append_jump_back_entry();
	finish_page_tables();
	if (block.mode == MODE_16)
		legacy_devices_reset();
}
