/*
 * The entry of all payloads: saves the registers as they were given, finds a stack, calls payload(). BITS is the mode of
 * the processor. In 32-bit mode it works at any address, with a few bytes at 0x800 as its first stack.
 */
#define STACK_BYTES 0x2000

	.section .text.start, "ax", @progbits
	.globl	start

#if BITS == 64
	.code64
start:
	movq	%rax, registers + 0(%rip)
	movq	%rbx, registers + 8(%rip)
	movq	%rcx, registers + 16(%rip)
	movq	%rdx, registers + 24(%rip)
	movq	%rsi, registers + 32(%rip)
	movq	%rdi, registers + 40(%rip)
	movq	%rbp, registers + 48(%rip)
	movq	%rsp, registers + 56(%rip)
	movq	%r8, registers + 64(%rip)
	movq	%r9, registers + 72(%rip)
	movq	%r10, registers + 80(%rip)
	movq	%r11, registers + 88(%rip)
	movq	%r12, registers + 96(%rip)
	movq	%r13, registers + 104(%rip)
	movq	%r14, registers + 112(%rip)
	movq	%r15, registers + 120(%rip)
	movq	(%rsp), %rax
	movq	%rax, registers + 208(%rip)
	leaq	stack_end(%rip), %rsp
	pushfq
	popq	registers + 128(%rip)
	movl	%cs, %eax
	movq	%rax, registers + 136(%rip)
	movl	%ds, %eax
	movq	%rax, registers + 144(%rip)
	movl	%es, %eax
	movq	%rax, registers + 152(%rip)
	movl	%fs, %eax
	movq	%rax, registers + 160(%rip)
	movl	%gs, %eax
	movq	%rax, registers + 168(%rip)
	movl	%ss, %eax
	movq	%rax, registers + 176(%rip)
	movq	%cr0, %rax
	movq	%rax, registers + 184(%rip)
	movq	%cr4, %rax
	movq	%rax, registers + 192(%rip)
	movl	$0xc0000080, %ecx
	rdmsr
	movl	%eax, registers + 200(%rip)
	movl	%edx, registers + 204(%rip)
	movq	%cr3, %rax
	movq	%rax, registers + 216(%rip)
	call	payload
#elif BITS == 32
	.code32
start:
	movl	%esp, 0x7fc
	movl	$0x7fc, %esp
	pushl	%ebp
	pushfl
	call	1f
1:
	popl	%ebp
	leal	registers - 1b(%ebp), %ebp
	movl	%eax, 0(%ebp)
	movl	%ebx, 4(%ebp)
	movl	%ecx, 8(%ebp)
	movl	%edx, 12(%ebp)
	movl	%esi, 16(%ebp)
	movl	%edi, 20(%ebp)
	popl	32(%ebp)
	popl	24(%ebp)
	popl	28(%ebp)
	movl	%cs, %eax
	movl	%eax, 36(%ebp)
	movl	%ds, %eax
	movl	%eax, 40(%ebp)
	movl	%es, %eax
	movl	%eax, 44(%ebp)
	movl	%fs, %eax
	movl	%eax, 48(%ebp)
	movl	%gs, %eax
	movl	%eax, 52(%ebp)
	movl	%ss, %eax
	movl	%eax, 56(%ebp)
	movl	%cr0, %eax
	movl	%eax, 60(%ebp)
	movl	%cr4, %eax
	movl	%eax, 64(%ebp)
	leal	stack_end - registers(%ebp), %esp
	cld
	call	payload
#else
	/* What comes before the code segment's data is all that is needed: one segment for everything. */
	.code16
start:
	movl	%eax, %cs:registers + 0
	movl	%ebx, %cs:registers + 4
	movl	%ecx, %cs:registers + 8
	movl	%edx, %cs:registers + 12
	movl	%esi, %cs:registers + 16
	movl	%edi, %cs:registers + 20
	movl	%ebp, %cs:registers + 24
	movl	%esp, %cs:registers + 28
	movw	%cs, %cs:registers + 36
	movw	%ds, %cs:registers + 40
	movw	%es, %cs:registers + 44
	movw	%fs, %cs:registers + 48
	movw	%gs, %cs:registers + 52
	movw	%ss, %cs:registers + 56
	movl	%cr0, %eax
	movl	%eax, %cs:registers + 60
	movl	%cr4, %eax
	movl	%eax, %cs:registers + 64
	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$stack_end, %esp
	pushfl
	popl	registers + 32
	cld
	calll	payload
#endif

	/* Written before it is known whether zeroed data are zero, so they are not among those. */
	.data
	.balign	16
	.globl	registers
	.hidden	registers
registers:
	.skip	256
stack:
	.skip	STACK_BYTES
stack_end:

	.section .note.GNU-stack, "", @progbits
