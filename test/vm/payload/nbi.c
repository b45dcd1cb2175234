/* Prints how a network boot image was entered, and what lies behind it. */
#include "memory.h"
#if BITS == 16
#include "bios.h"
/* The segment starts where the program does. */
#define PROGRAM 0
#else
#define PROGRAM BASE
#endif

void payload(void)
{
	serial_open();
	print("PAYLOAD nbi");
	print_text("second", (const char *)(PROGRAM + MEMORY_BYTES + 0x100));
	print("\n");
	print_own_data();
	print_registers();
#if BITS == 16
	print_bios();
#else
	print_descriptors();
#endif
	power_off();
}
