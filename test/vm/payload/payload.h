/*
 * What all payloads need: the serial port, a way to print, the end of the machine. Everything is static, so that a
 * program is one C file and one entry; it works in 16-bit (gcc's -m16, flat segments), 32-bit and 64-bit mode, and at
 * any address.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdint.h>

#define UNUSED __attribute__((unused))

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#define COM1 0x3f8

static void print_character(char character)
{
	while ((in8(COM1 + 5) & 0x20) == 0)
		;
	out8(COM1, character);
}

static void print(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			print_character('\r');
		print_character(*text);
	}
}

static void print_digits(uint64_t value, int digits)
{
	for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
		int digit = value >> shift & 0xf;
		print_character(digit < 10 ? '0' + digit : 'a' + digit - 10);
	}
}

/* ` name=0x…` */
static UNUSED void print_field(const char *name, uint64_t value, int digits)
{
	print(" ");
	print(name);
	print("=0x");
	print_digits(value, digits);
}

/* ` name="…"`; nothing between the quotes for a null pointer. */
static UNUSED void print_text(const char *name, const char *text)
{
	print(" ");
	print(name);
	print("=\"");
	if (text != 0)
		print(text);
	print("\"");
}

/* ` name=…`, two digits a byte. */
static UNUSED void print_bytes(const char *name, const volatile uint8_t *bytes, uint32_t count)
{
	print(" ");
	print(name);
	print("=");
	for (uint32_t i = 0; i < count; i++)
		print_digits(bytes[i], 2);
}

static UNUSED uint32_t sum_of(const uint8_t *bytes, uint32_t count)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < count; i++)
		sum += bytes[i];
	return sum;
}

/* Filled in by start.S before anything else happens. */
#if BITS == 64
struct registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t flags, cs, ds, es, fs, gs, ss, cr0, cr4, efer, stack, cr3;
};
#define NAMES "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", \
	"r15", "flags", "cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr4", "efer", "stack", "cr3"
typedef uint64_t word;
#else
struct registers {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp, flags, cs, ds, es, fs, gs, ss, cr0, cr4;
};
#define NAMES "eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "flags", "cs", "ds", "es", "fs", "gs", "ss", \
	"cr0", "cr4"
typedef uint32_t word;
#endif

extern struct registers registers __attribute__((visibility("hidden")));
void payload(void);

static UNUSED void print_registers(void)
{
	static const char names[][8] = { NAMES };
	const word *values = (const word *)&registers;

	print("PAYLOAD registers");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		print_field(names[i], values[i], 2 * sizeof(word));
	print("\n");
}

#if BITS != 16
struct table_pointer {
	uint16_t limit;
	word base;
} __attribute__((packed));

static uint64_t descriptor_of(word selector)
{
	struct table_pointer gdt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	if (selector + 7 > gdt.limit)
		return 0;
	return *(const volatile uint64_t *)(gdt.base + (selector & ~7u));
}

/* What the segments really are; 0 where the table does not have them. */
static UNUSED void print_descriptors(void)
{
	print("PAYLOAD descriptors");
	print_field("cs", descriptor_of(registers.cs), 16);
	print_field("ds", descriptor_of(registers.ds), 16);
	print_field("ss", descriptor_of(registers.ss), 16);
	print("\n");
}
#endif

static void serial_open(void)
{
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x83);
	out8(COM1, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x03);
	out8(COM1 + 2, 0x07);
	out8(COM1 + 4, 0x03);
}

/* ACPI's PM1a control register as QEMU's q35 has it, then QEMU's debug exit, then a fault without a handler. */
static UNUSED __attribute__((noreturn)) void power_off(void)
{
	struct {
		uint16_t limit;
		word base;
	} __attribute__((packed)) none = { 0, 0 };

	print("PAYLOAD end\n");
	while ((in8(COM1 + 5) & 0x40) == 0)
		;
	out16(0x604, 0x2000);
	out8(0xf4, 0);
	for (;;)
		__asm__ volatile("lidt %0\n\tint3" : : "m"(none));
}

#endif
