/* Multiboot 2 specification 2.0, section 3.1. RELOCATABLE adds the relocatable and the entry address tag. */
#define MAGIC 0xe85250d6
#define ARCHITECTURE_I386 0
#define HEADER_BYTES (header_end - header)
#define REQUIRED 0
#define OPTIONAL 1

#define TAG_END 0
#define TAG_INFORMATION_REQUEST 1
#define TAG_ENTRY_ADDRESS 3
#define TAG_MODULE_ALIGNMENT 6
#define TAG_RELOCATABLE 10

#define INFORMATION_COMMAND_LINE 1
#define INFORMATION_LOADER_NAME 2
#define INFORMATION_MODULE 3
#define INFORMATION_MEMORY 4
#define INFORMATION_MAP 6

	.section .header, "a", @progbits
	.balign	8
header:
	.long	MAGIC
	.long	ARCHITECTURE_I386
	.long	HEADER_BYTES
	.long	-(MAGIC + ARCHITECTURE_I386 + HEADER_BYTES)

	.balign	8
	.word	TAG_INFORMATION_REQUEST, REQUIRED
	.long	8 + 4 * 4
	.long	INFORMATION_COMMAND_LINE, INFORMATION_LOADER_NAME, INFORMATION_MODULE, INFORMATION_MAP

	.balign	8
	.word	TAG_INFORMATION_REQUEST, OPTIONAL
	.long	8 + 4
	.long	INFORMATION_MEMORY

	.balign	8
	.word	TAG_MODULE_ALIGNMENT, REQUIRED
	.long	8

#ifdef RELOCATABLE
	.balign	8
	.word	TAG_RELOCATABLE, REQUIRED
	.long	24
	/* Lowest and highest address, alignment, preference: as high as possible. */
	.long	0x01000000, 0x3fffffff, 0x00200000, 2

	.balign	8
	.word	TAG_ENTRY_ADDRESS, REQUIRED
	.long	12
	.long	start
#endif

	.balign	8
	.word	TAG_END, REQUIRED
	.long	8
header_end:

	.section .note.GNU-stack, "", @progbits
