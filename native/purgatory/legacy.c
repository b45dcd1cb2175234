#include "legacy.h"
#include "ports.h"

#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0
/* First initialization word: edge-triggered, cascaded, a fourth word follows (Intel 8259A data sheet). */
#define PIC_BEGIN 0x11
#define PIC_8086_MODE 0x01
#define PIC_CASCADE_LINE 2
#define VECTORS_MASTER 0x08
#define VECTORS_SLAVE 0x70
/* Open: timer, keyboard, cascade and floppy; mouse, coprocessor and first disk. */
#define MASK_MASTER 0xb8
#define MASK_SLAVE 0x8f

#define PIT_CHANNEL_0 0x40
#define PIT_CONTROL 0x43
/* Channel 0, low and high byte, square wave (Intel 8254 data sheet). */
#define PIT_SQUARE_WAVE 0x36

static void pic_write(uint16_t port, uint8_t value)
{
	out8(port, value);
	short_pause();
}

static void pic_reset(uint16_t port, uint8_t first_vector, uint8_t cascade, uint8_t mask)
{
	pic_write(port, PIC_BEGIN);
	pic_write(port + 1, first_vector);
	pic_write(port + 1, cascade);
	pic_write(port + 1, PIC_8086_MODE);
	pic_write(port + 1, mask);
}

void legacy_devices_reset(void)
{
	pic_reset(PIC_MASTER, VECTORS_MASTER, 1 << PIC_CASCADE_LINE, MASK_MASTER);
	pic_reset(PIC_SLAVE, VECTORS_SLAVE, PIC_CASCADE_LINE, MASK_SLAVE);
	/* A count of 0 stands for 65536: 18.2 ticks a second. */
	out8(PIT_CONTROL, PIT_SQUARE_WAVE);
	out8(PIT_CHANNEL_0, 0);
	out8(PIT_CHANNEL_0, 0);
}
