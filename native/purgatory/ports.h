/* The processor's I/O ports. */
#ifndef SLIPWAY_PURGATORY_PORTS_H
#define SLIPWAY_PURGATORY_PORTS_H

#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* A write to the port of the power-on self-test does nothing but take about a microsecond. */
static inline void short_pause(void)
{
	out8(0x80, 0);
}

#endif
