/*
 * Where the running kernel jumps to, and the ways out: to a 64-bit, a 32-bit or a 16-bit target.
 *
 * The state on entry (Linux, arch/x86/kernel/relocate_kernel_64.S): 64-bit mode, memory identity-mapped and writable,
 * four or five levels of page tables, interrupts off, GDT and IDT of limit 0, a stack that cannot be relied on. Nothing
 * here knows at what address it lies: 64-bit code is relative to rip, 32-bit code to ebp, 16-bit code to its segment.
 */
#include "block.h"

#define BLOCK(field) (BLOCK_START + FIELD_##field)
#define AT(symbol) (symbol - purgatory_start)

/* Both tables have the selectors of Linux' boot protocol (boot.rst, "64-bit Boot Protocol", "32-bit Boot Protocol"). */
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_CODE16 0x20
#define SELECTOR_DATA16 0x28

#define CR0_PE 0x00000001
#define CR0_ET 0x00000010
#define CR4_PAE 0x00000020
#define CR4_LA57 0x00001000
#define MSR_EFER 0xc0000080
/* All flags clear; bit 1 is always set. */
#define EFLAGS_CLEAR 0x2

/* Segment descriptors (Intel SDM, volume 3, section 3.4.5), marked as accessed, so that the processor need not write. */
#define DESCRIPTOR_CODE64 0x00af9b000000ffff
#define DESCRIPTOR_CODE32 0x00cf9b000000ffff
#define DESCRIPTOR_DATA 0x00cf93000000ffff
#define DESCRIPTOR_CODE16 0x00009b000000ffff
#define DESCRIPTOR_DATA16 0x000093000000ffff

	.section .head, "awx", @progbits
	.code64
	.globl purgatory_start
purgatory_start:
	cli
	cld
	jmp	begin

	.org	BLOCK_START
	.globl block
block:
	.ascii	"SLIPPURG"
	.long	BLOCK_VERSION
	.long	PURGATORY_MEMORY_BYTES
	.org	BLOCK_START + BLOCK_BYTES

	.balign	8
gdt64:
	.quad	0, 0, DESCRIPTOR_CODE64, DESCRIPTOR_DATA
gdt64_end:
gdt32:
	.quad	0, 0, DESCRIPTOR_CODE32, DESCRIPTOR_DATA
gdt32_code16:
	.quad	DESCRIPTOR_CODE16
gdt32_data16:
	.quad	DESCRIPTOR_DATA16
gdt32_end:

/* For lgdt and lidt: limit and base. The bases of the GDTs are filled in at run time. */
gdt64_pointer:
	.word	gdt64_end - gdt64 - 1
	.quad	0
gdt32_pointer:
	.word	gdt32_end - gdt32 - 1
	.quad	0
/* A limit of 0 holds no gate: whatever happens becomes a triple fault, and with it a reset. */
	.globl no_idt_pointer
no_idt_pointer:
	.word	0
	.quad	0
/* The BIOS' interrupt vectors. */
real_idt_pointer:
	.word	0x3ff
	.quad	0

	.balign	8
/* What the running kernel left on its stack, if the target is to be told; otherwise 0. */
	.globl return_address
return_address:
	.quad	0

	.globl code64_start
code64_start:
begin:
	testl	$FLAG_JUMP_BACK, block + FIELD_FLAGS(%rip)
	jz	1f
	movq	(%rsp), %rax
	movq	%rax, return_address(%rip)
1:
	leaq	purgatory_start + PURGATORY_MEMORY_BYTES(%rip), %rsp

	leaq	gdt64(%rip), %rax
	movq	%rax, gdt64_pointer + 2(%rip)
	lgdt	gdt64_pointer(%rip)
	lidt	no_idt_pointer(%rip)
	xorl	%eax, %eax
	lldt	%ax
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	pushq	$SELECTOR_CODE
	leaq	2f(%rip), %rax
	pushq	%rax
	lretq
2:
	call	purgatory

	cmpl	$MODE_64, block + FIELD_MODE(%rip)
	jne	leave_64_bit_mode

	/* Tables that lie in no memory the target works in; this code and its stack are where they were. */
	movq	block + FIELD_PAGE_TABLES(%rip), %rax
	testq	%rax, %rax
	jz	1f
	movq	%rax, %cr3
1:
	/* The 64-bit target finds the return address where the running kernel has left it for us. */
	pushq	return_address(%rip)
	pushq	block + FIELD_TARGET_ADDRESS(%rip)
	movq	block + FIELD_TARGET_RSI(%rip), %rsi
	movq	block + FIELD_TARGET_ARGUMENT(%rip), %rdi
	xorl	%eax, %eax
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	pushq	$EFLAGS_CLEAR
	popfq
	ret

leave_64_bit_mode:
	/* With process-context identifiers on, paging cannot be switched off. */
	movq	%cr4, %rax
	andl	$(CR4_PAE | CR4_LA57), %eax
	movq	%rax, %cr4
	leaq	gdt32(%rip), %rax
	movq	%rax, gdt32_pointer + 2(%rip)
	lgdt	gdt32_pointer(%rip)
	leaq	purgatory_start(%rip), %rbp
	pushq	$SELECTOR_CODE
	leaq	code32_start(%rip), %rax
	pushq	%rax
	lretq

	.globl code32_start
	.code32
code32_start:
	/* Paging off ends 64-bit mode; only then LA57 may change (Intel SDM, volume 3, section 9.8.5.4). */
	movl	$(CR0_PE | CR0_ET), %eax
	movl	%eax, %cr0
	jmp	1f
1:
	xorl	%eax, %eax
	xorl	%edx, %edx
	movl	$MSR_EFER, %ecx
	wrmsr
	movl	%eax, %cr4
	movl	%eax, %cr3
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	leal	PURGATORY_MEMORY_BYTES(%ebp), %esp
	cmpl	$MODE_16, BLOCK(MODE)(%ebp)
	je	leave_32_bit_mode

	/* Nobody returns to 0. */
	pushl	BLOCK(TARGET_ARGUMENT)(%ebp)
	pushl	$0
	pushl	BLOCK(TARGET_ADDRESS)(%ebp)
	movl	BLOCK(TARGET_EAX)(%ebp), %eax
	movl	BLOCK(TARGET_EBX)(%ebp), %ebx
	movl	BLOCK(TARGET_ESI)(%ebp), %esi
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%edi, %edi
	xorl	%ebp, %ebp
	pushl	$EFLAGS_CLEAR
	popfl
	ret

leave_32_bit_mode:
	/* Segments of 64 KiB that start here: their limits stay when protected mode ends, and the BIOS relies on them. */
	movl	%ebp, %eax
	movw	%ax, AT(gdt32_code16) + 2(%ebp)
	movw	%ax, AT(gdt32_data16) + 2(%ebp)
	shrl	$16, %eax
	movb	%al, AT(gdt32_code16) + 4(%ebp)
	movb	%al, AT(gdt32_data16) + 4(%ebp)
	lidt	AT(real_idt_pointer)(%ebp)
	/* The real-mode segment of this place. */
	movl	%ebp, %edx
	shrl	$4, %edx
	movl	$SELECTOR_DATA16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movl	$PURGATORY_MEMORY_BYTES, %esp
	ljmp	$SELECTOR_CODE16, $AT(code16_start)

	.globl code16_start
	.code16
code16_start:
	/* The A20 gate is open: Linux needs odd megabytes as well. */
	movl	$CR0_ET, %eax
	movl	%eax, %cr0
	pushw	%dx
	pushw	$AT(1f)
	lretw
1:
	movw	%dx, %ds
	movw	BLOCK(TARGET_SS), %ss
	xorl	%esp, %esp
	movw	BLOCK(TARGET_SP), %sp
	movw	BLOCK(TARGET_DS), %ax
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ds
	xorl	%eax, %eax
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%edi, %edi
	xorl	%ebp, %ebp
	ljmpw	*%cs:BLOCK(TARGET_IP)
	.globl code16_end
code16_end:

	.section .note.GNU-stack, "", @progbits
