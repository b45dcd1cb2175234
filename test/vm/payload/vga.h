/* The registers of a standard VGA, and its first 64 colours. */
#ifndef PAYLOAD_VGA_H
#define PAYLOAD_VGA_H

#include "payload.h"

static void print_indexed(const char *name, uint16_t port, int count)
{
	print(" ");
	print(name);
	print("=");
	for (int i = 0; i < count; i++) {
		out8(port, i);
		print_digits(in8(port + 1), 2);
	}
}

static void print_vga(void)
{
	print(" misc=");
	print_digits(in8(0x3cc), 2);
	print_indexed("sequencer", 0x3c4, 5);
	print_indexed("crtc", 0x3d4, 0x19);
	print_indexed("graphics", 0x3ce, 9);
	print(" attribute=");
	for (int i = 0; i < 0x15; i++) {
		in8(0x3da);
		out8(0x3c0, i | 0x20);
		print_digits(in8(0x3c1), 2);
	}
	print(" colours=");
	out8(0x3c7, 0);
	for (int i = 0; i < 3 * 64; i++)
		print_digits(in8(0x3c9), 2);
	print("\n");
}

#endif
