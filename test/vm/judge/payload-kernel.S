/*
 * The front of the judged kernel: one file that is a bzImage (16-bit and 32-bit entry, to be loaded anywhere), a multiboot
 * kernel and a multiboot 2 kernel. See the Linux kernel's Documentation/arch/x86/boot.rst for the header's fields.
 */
/* The boot sector and the setup behind it. */
#define SETUP_BYTES 0x600
#define PROTOCOL 0x020a
#define LOADED_HIGH 0x01
#define CAN_USE_HEAP 0x80
#define CODE32 0x100000
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define COMMAND_LINE_BYTES 4095

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_ADDRESS_FIELDS 0x10000
#define MULTIBOOT2_MAGIC 0xe85250d6

	.section .setup, "ax", @progbits
	.code16
setup:
	.org	0x1f1
	.byte	SETUP_BYTES / 512 - 1
	.word	1
	.long	SYSTEM_PARAGRAPHS
	.word	0, 0xffff, 0, 0xaa55
	/* 0x200 */
	.byte	0xeb, real_mode - setup - 0x202
	.ascii	"HdrS"
	.word	PROTOCOL
	.long	0
	.word	0
	.word	version - setup - 0x200
	.byte	0, LOADED_HIGH
	.word	0x8000
code32_start:
	.long	CODE32
	.long	0, 0, 0
	.word	SETUP_BYTES + 0x1000 - 0x200
	.byte	0, 0
	.long	0
	.long	0x7fffffff
	/* 0x230: alignment, relocatable, its logarithm */
	.long	0x1000
	.byte	1, 12
	.word	0
	.long	COMMAND_LINE_BYTES
	.long	0
	.quad	0
	.long	0, 0
	.quad	0
	/* 0x258: preferred address, bytes of memory, no handover */
	.quad	CODE32
	.long	0x10000
	.long	0

/*
 * Entered by a 16-bit loader with DS at the start of this file: to 32-bit mode, with ESI at the same place, whose header
 * fields are those of the boot parameters.
 */
real_mode:
	cli
	cld
	inb	$0x92, %al
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92
	xorl	%esi, %esi
	movw	%ds, %si
	shll	$4, %esi
	leal	gdt - setup(%esi), %eax
	movl	%eax, gdt_pointer - setup + 2
	lgdtl	gdt_pointer - setup
	leal	protected - setup(%esi), %eax
	movl	%eax, far_jump - setup
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	*(far_jump - setup)

	.code32
protected:
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	jmp	*code32_start - setup(%esi)

	.balign	8
gdt:
	.quad	0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	31
	.long	0
far_jump:
	.long	0
	.word	BOOT_CS

/* What a program that lists kernels takes for the version. */
version:
	.ascii	"<name of this kernel>"
	.org	version + 64 - setup

	.balign	4
multiboot:
	.long	MULTIBOOT_MAGIC, MULTIBOOT_ADDRESS_FIELDS, -(MULTIBOOT_MAGIC + MULTIBOOT_ADDRESS_FIELDS)
	.long	multiboot, BASE, file_end, file_end, multiboot_start

	.balign	8
multiboot2:
	.long	MULTIBOOT2_MAGIC, 0, multiboot2_end - multiboot2
	.long	-(MULTIBOOT2_MAGIC + multiboot2_end - multiboot2)
	.word	2, 0
	.long	24, multiboot2, BASE, file_end, file_end
	.word	3, 0
	.long	12, multiboot_start
	.balign	8
	.word	0, 0
	.long	8
multiboot2_end:
	.org	SETUP_BYTES

/* The part of 32 bits. Entered here with ESI at the boot parameters; it works at any address. */
	.section .text.start, "ax", @progbits
	.code32
linux_start:
	cli
	cld
	/* scratch of the boot parameters */
	leal	0x1e8(%esi), %esp
	call	1f
1:
	popl	%eax
	leal	stack_end - 1b(%eax), %esp
	pushl	%esi
	pushl	$0
	call	judged
multiboot_start:
	cli
	cld
	movl	$stack_end, %esp
	pushl	%ebx
	pushl	%eax
	call	judged

	.data
	.globl	kernel_name
	.hidden	kernel_name
kernel_name:
	.ascii	"<name of this kernel>"
	.org	kernel_name + 64
	.balign	16
	.skip	2048
stack_end:

	.section .note.GNU-stack, "", @progbits
