/*
 * A network boot image (Etherboot, "Draft Net Boot Image Proposal" 0.3): a block of 512 bytes, then the segments that it
 * names. The first one is the program, the second a text that goes 0x100 bytes behind it.
 */
#define MAGIC 0x1b031336
/* Bytes 0 to 3 of a header or record are counted in its own length, in double words. */
#define HEADER_LENGTH 4
#define RECORD_LENGTH 4
#define ENTRY_32 0x80000000
#define ABSOLUTE 0
#define BEHIND_THE_LAST 1
#define LAST_RECORD 4

	.section .header, "a", @progbits
	.long	MAGIC
#if BITS == 32
	.long	HEADER_LENGTH | ENTRY_32
#else
	.long	HEADER_LENGTH
#endif
	/* Where this block itself goes. */
	.word	0x0000, 0x1000
#if BITS == 32
	.long	BASE
#else
	.word	0x0000, BASE >> 4
#endif

	.byte	RECORD_LENGTH, 0, 0, ABSOLUTE
	.long	BASE, program_end - program, MEMORY_BYTES

	.byte	RECORD_LENGTH, 0, 0, BEHIND_THE_LAST | LAST_RECORD
	.long	0x100, text_end - text, text_end - text

	.org	510
	.word	0xaa55
program:
	.incbin	"program.bin"
	.balign	512
program_end:
text:
	.asciz	"the second segment"
	.balign	512
text_end:
