/* Whether the BIOS answers: its size of low memory, and its clock, which needs interrupts and a timer that ticks. */
#ifndef PAYLOAD_BIOS_H
#define PAYLOAD_BIOS_H

#include "payload.h"

static uint16_t clock_ticks(void)
{
	uint16_t ticks;
	__asm__ volatile("pushw %%es\n\t"
			 "pushw $0x40\n\t"
			 "popw %%es\n\t"
			 "movw %%es:0x6c, %0\n\t"
			 "popw %%es"
			 : "=r"(ticks));
	return ticks;
}

/* One tick might be left of an earlier life of the timer. */
#define TICKS_WANTED 2

static void print_bios(void)
{
	uint16_t kilobytes, begin = clock_ticks(), ticks = 0;

	__asm__ volatile("int $0x12" : "=a"(kilobytes));
	__asm__ volatile("sti");
	/* A tick comes every 55 ms; a port takes about a microsecond. */
	for (uint32_t i = 0; i < 3000000 && ticks < TICKS_WANTED; i++) {
		out8(0x80, 0);
		ticks = clock_ticks() - begin;
	}
	__asm__ volatile("cli");
	print("PAYLOAD bios");
	print_field("kilobytes", kilobytes, 4);
	print(ticks < TICKS_WANTED ? " clock=stands\n" : " clock=ticks\n");
}

#endif
