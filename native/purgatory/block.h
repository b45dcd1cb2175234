/*
 * The parameter block: the one thing that Slipway writes into the purgatory before it is loaded. This header is read
 * by the assembler and by the compiler; src/handoff/classic/purgatory.ts has the same numbers, and a unit test compares
 * them.
 *
 * Offsets of fields are from the start of the block. All numbers are little-endian; addresses are physical.
 */
#ifndef SLIPWAY_PURGATORY_BLOCK_H
#define SLIPWAY_PURGATORY_BLOCK_H

/* From the start of the blob. */
#define BLOCK_START 0x10

#define BLOCK_VERSION 3

/* Bytes of memory that the purgatory takes: code, data and, at the end, the stack. */
#define PURGATORY_MEMORY_BYTES 0x4000
/* The tables of the CRC take 4 KiB of it. */
#define PURGATORY_STACK_BYTES 0x2000

#define FIELD_MAGIC 0x00
#define FIELD_VERSION 0x08
#define FIELD_MEMORY_BYTES 0x0c
#define FIELD_FLAGS 0x10
#define FIELD_MODE 0x14
#define FIELD_SERIAL_PORT 0x18
#define FIELD_SERIAL_DIVISOR 0x1c
#define FIELD_JUMP_BACK_TEXT 0x20
#define FIELD_BACKUP_SOURCE 0x28
#define FIELD_BACKUP_DESTINATION 0x30
#define FIELD_BACKUP_BYTES 0x38
#define FIELD_TARGET_ADDRESS 0x40
#define FIELD_TARGET_RSI 0x48
#define FIELD_TARGET_ARGUMENT 0x50
#define FIELD_TARGET_EAX 0x58
#define FIELD_TARGET_EBX 0x5c
#define FIELD_TARGET_ESI 0x60
#define FIELD_TARGET_IP 0x64
#define FIELD_TARGET_CS 0x66
#define FIELD_TARGET_DS 0x68
#define FIELD_TARGET_SS 0x6a
#define FIELD_TARGET_SP 0x6c
#define FIELD_REGION_COUNT 0x70
#define FIELD_SHA256 0x78
#define FIELD_REGIONS 0x98
/* For CR3, on the way to a 64-bit target; 0 keeps those of the running kernel. */
#define FIELD_PAGE_TABLES 0x198
/* All of its tables, one behind the other. */
#define FIELD_TABLES_START 0x1a0
#define FIELD_TABLES_BYTES 0x1a8
#define BLOCK_BYTES 0x1b0

#define REGIONS_MAX 16
#define REGION_BYTES 16

#define FLAG_RESET_VGA 0x01
#define FLAG_CONSOLE_VGA 0x02
#define FLAG_CONSOLE_SERIAL 0x04
#define FLAG_DIGEST 0x08
#define FLAG_JUMP_BACK 0x10
/* The first four bytes of the digest are a CRC-32. */
#define FLAG_CRC32 0x20

/* How the target is entered: bits of its mode. */
#define MODE_64 64
#define MODE_32 32
#define MODE_16 16

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct region {
	uint64_t address;
	uint64_t bytes;
};

struct block {
	char magic[8];
	uint32_t version;
	uint32_t memory_bytes;
	uint32_t flags;
	uint32_t mode;
	uint32_t serial_port;
	/* 115200 / bits per second; 0 leaves the port as it is set. */
	uint32_t serial_divisor;
	/* Where the target's command line ends: the address of its NUL. */
	uint64_t jump_back_text;
	uint64_t backup_source;
	uint64_t backup_destination;
	uint64_t backup_bytes;
	uint64_t target_address;
	uint64_t target_rsi;
	/* As of a C function: rdi, or the word above the return address on a 32-bit stack. */
	uint64_t target_argument;
	uint32_t target_eax;
	uint32_t target_ebx;
	uint32_t target_esi;
	uint16_t target_ip;
	uint16_t target_cs;
	/* ds, es, fs and gs */
	uint16_t target_ds;
	uint16_t target_ss;
	uint16_t target_sp;
	uint16_t unused;
	uint32_t region_count;
	uint32_t unused2;
	uint8_t sha256[32];
	struct region regions[REGIONS_MAX];
	uint64_t page_tables;
	uint64_t tables_start;
	uint64_t tables_bytes;
};

#define FIELD_IS_AT(field, offset) _Static_assert(offsetof(struct block, field) == (offset), #field)
FIELD_IS_AT(magic, FIELD_MAGIC);
FIELD_IS_AT(version, FIELD_VERSION);
FIELD_IS_AT(memory_bytes, FIELD_MEMORY_BYTES);
FIELD_IS_AT(flags, FIELD_FLAGS);
FIELD_IS_AT(mode, FIELD_MODE);
FIELD_IS_AT(serial_port, FIELD_SERIAL_PORT);
FIELD_IS_AT(serial_divisor, FIELD_SERIAL_DIVISOR);
FIELD_IS_AT(jump_back_text, FIELD_JUMP_BACK_TEXT);
FIELD_IS_AT(backup_source, FIELD_BACKUP_SOURCE);
FIELD_IS_AT(backup_destination, FIELD_BACKUP_DESTINATION);
FIELD_IS_AT(backup_bytes, FIELD_BACKUP_BYTES);
FIELD_IS_AT(target_address, FIELD_TARGET_ADDRESS);
FIELD_IS_AT(target_rsi, FIELD_TARGET_RSI);
FIELD_IS_AT(target_argument, FIELD_TARGET_ARGUMENT);
FIELD_IS_AT(target_eax, FIELD_TARGET_EAX);
FIELD_IS_AT(target_ebx, FIELD_TARGET_EBX);
FIELD_IS_AT(target_esi, FIELD_TARGET_ESI);
FIELD_IS_AT(target_ip, FIELD_TARGET_IP);
FIELD_IS_AT(target_cs, FIELD_TARGET_CS);
FIELD_IS_AT(target_ds, FIELD_TARGET_DS);
FIELD_IS_AT(target_ss, FIELD_TARGET_SS);
FIELD_IS_AT(target_sp, FIELD_TARGET_SP);
FIELD_IS_AT(region_count, FIELD_REGION_COUNT);
FIELD_IS_AT(sha256, FIELD_SHA256);
FIELD_IS_AT(regions, FIELD_REGIONS);
FIELD_IS_AT(page_tables, FIELD_PAGE_TABLES);
FIELD_IS_AT(tables_start, FIELD_TABLES_START);
FIELD_IS_AT(tables_bytes, FIELD_TABLES_BYTES);
_Static_assert(sizeof(struct block) == BLOCK_BYTES, "block");
_Static_assert(sizeof(struct region) == REGION_BYTES, "region");

extern struct block block;

#endif
#endif
