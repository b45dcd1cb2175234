/*
 * The running kernel's part: entered by a multiboot loader in 32-bit mode, it goes to 64-bit mode with memory mapped to
 * itself, has the segments loaded, and jumps.
 */
#define MAGIC 0x1badb002
#define ADDRESS_FIELDS 0x10000
#define STACK_BYTES 0x2000
/* How much memory is mapped. */
#define GIBIBYTES 8

	.section .header, "a", @progbits
header:
	.long	MAGIC
	.long	ADDRESS_FIELDS
	.long	-(MAGIC + ADDRESS_FIELDS)
	.long	header
	.long	header
	.long	data_end
	.long	bss_end
	.long	start

	.section .text.start, "ax", @progbits
	.code32
	.globl	start
start:
	/* The first module: flags at 0, count at 20, list at 24 of the information; its start at 0. */
	movl	24(%ebx), %esi
	movl	(%esi), %esi

	/* Level 2: pages of 2 MiB. The levels above: tables for 8 GiB, then one entry each. */
	movl	$level2, %edi
	xorl	%ecx, %ecx
1:
	movl	%ecx, %eax
	shll	$21, %eax
	orl	$0x83, %eax
	movl	%eax, (%edi, %ecx, 8)
	movl	%ecx, %eax
	shrl	$11, %eax
	movl	%eax, 4(%edi, %ecx, 8)
	incl	%ecx
	cmpl	$(512 * GIBIBYTES), %ecx
	jne	1b
	movl	$level3, %edi
	xorl	%eax, %eax
	movl	$(3 * 1024), %ecx
	rep stosl
	movl	$level2 + 3, %eax
1:
	movl	%eax, level3(, %ecx, 8)
	addl	$4096, %eax
	incl	%ecx
	cmpl	$GIBIBYTES, %ecx
	jne	1b
	movl	$level3 + 3, level4
	movl	$level4 + 3, level5

	/* PAE, and five levels if the scenario asks for them. */
	movl	$0x20, %eax
	movl	$level4, %edx
	testl	$1, 16(%esi)
	jz	1f
	orl	$0x1000, %eax
	movl	$level5, %edx
1:
	movl	%eax, %cr4
	movl	%edx, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	/* LME and NXE */
	orl	$0x900, %eax
	wrmsr
	movl	$0x80000011, %eax
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$0x10, $1f

	.code64
1:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movq	$stack_end, %rsp
	movl	%esi, %edi
	call	kernel

/* void jump(uint64_t entry, uint64_t on_stack, uint64_t registers): as relocate_kernel_64.S leaves a machine */
	.globl	jump
jump:
	movq	$stack_end, %rsp
	pushq	%rsi
	pushq	%rdi
	lgdt	no_table
	lidt	no_table
	movq	%rdx, %rax
	movq	%rax, %rbx
	movq	%rax, %rcx
	movq	%rax, %rdx
	movq	%rax, %rsi
	movq	%rax, %rdi
	movq	%rax, %rbp
	movq	%rax, %r8
	movq	%rax, %r9
	movq	%rax, %r10
	movq	%rax, %r11
	movq	%rax, %r12
	movq	%rax, %r13
	movq	%rax, %r14
	movq	%rax, %r15
	ret

	.data
	.balign	8
gdt:
	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	31
	.quad	gdt
no_table:
	.word	0
	.quad	0

	.bss
	.balign	4096
level2:
	.skip	4096 * GIBIBYTES
level3:
	.skip	4096
level4:
	.skip	4096
level5:
	.skip	4096
stack:
	.skip	STACK_BYTES
stack_end:

	.section .note.GNU-stack, "", @progbits
