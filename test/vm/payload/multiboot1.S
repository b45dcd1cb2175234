/* Multiboot specification 0.6.96, section 3.1. FLAT adds the address fields of a kernel that is not an ELF file. */
#define MAGIC 0x1badb002
#define PAGE_ALIGN 0x1
#define MEMORY_INFO 0x2
#define ADDRESS_FIELDS 0x10000

#ifdef FLAT
#define FLAGS (PAGE_ALIGN | MEMORY_INFO | ADDRESS_FIELDS)
#else
#define FLAGS (PAGE_ALIGN | MEMORY_INFO)
#endif

	.section .header, "a", @progbits
#ifdef FLAT
	/* Not to be loaded: the load address below is that of what follows. */
	.fill	64, 1, 0xee
load_start:
	.fill	32, 1, 0x90
#endif
	.balign	4
header:
	.long	MAGIC
	.long	FLAGS
	.long	-(MAGIC + FLAGS)
#ifdef FLAT
	.long	header
	.long	load_start
	.long	data_end
	.long	bss_end
	.long	start
#endif

	.section .note.GNU-stack, "", @progbits
