#include "console.h"
#include "block.h"
#include "ports.h"

/* ---- serial: a 16550 or its ancestors (National Semiconductor PC16550D data sheet, section 8) ---- */

enum {
	UART_DATA = 0,
	UART_DIVISOR_LOW = 0,
	UART_INTERRUPT_ENABLE = 1,
	UART_DIVISOR_HIGH = 1,
	UART_FIFO_CONTROL = 2,
	UART_LINE_CONTROL = 3,
	UART_MODEM_CONTROL = 4,
	UART_LINE_STATUS = 5,
};

#define LINE_8N1 0x03
#define LINE_DIVISOR_ACCESS 0x80
#define MODEM_DTR_RTS 0x03
#define STATUS_HOLDING_EMPTY 0x20
#define STATUS_ALL_SENT 0x40

/* How often the status of a port is read before its transmitter counts as dead. */
#define UART_POLLS_MAX 100000

static void uart_set_up(uint16_t port, uint16_t divisor)
{
	out8(port + UART_INTERRUPT_ENABLE, 0);
	out8(port + UART_LINE_CONTROL, LINE_8N1 | LINE_DIVISOR_ACCESS);
	out8(port + UART_DIVISOR_LOW, divisor & 0xff);
	out8(port + UART_DIVISOR_HIGH, divisor >> 8);
	out8(port + UART_LINE_CONTROL, LINE_8N1);
	out8(port + UART_FIFO_CONTROL, 0);
	out8(port + UART_MODEM_CONTROL, MODEM_DTR_RTS);
}

static void uart_wait(uint16_t port, uint8_t status)
{
	for (int polls = 0; polls < UART_POLLS_MAX && (in8(port + UART_LINE_STATUS) & status) == 0; polls++)
		;
}

static void uart_send(uint16_t port, const char *text)
{
	for (; *text != '\0'; text++) {
		uart_wait(port, STATUS_HOLDING_EMPTY);
		out8(port + UART_DATA, *text);
	}
	uart_wait(port, STATUS_ALL_SENT);
}

/* ---- VGA (IBM VGA technical reference; FreeVGA project) ---- */

#define VGA_ATTRIBUTE 0x3c0
#define VGA_MISCELLANEOUS 0x3c2
#define VGA_SEQUENCER 0x3c4
#define VGA_DAC_MASK 0x3c6
#define VGA_DAC_INDEX 0x3c8
#define VGA_DAC_DATA 0x3c9
#define VGA_GRAPHICS 0x3ce
#define VGA_CRTC 0x3d4
#define VGA_STATUS 0x3da

#define VGA_SEQUENCER_RESET 0
#define VGA_CRTC_PROTECT 0x11
/* Bit of the attribute controller's index: the palette belongs to the screen, not to the processor. */
#define VGA_ATTRIBUTE_SHOW 0x20

#define TEXT_COLUMNS 80
#define TEXT_ROWS 25
/* Light grey on black. */
#define TEXT_ATTRIBUTE 0x0700
#define TEXT_BLANK (TEXT_ATTRIBUTE | ' ')

/* The registers of mode 3 in 720 × 400, from index 0 on. */
static const uint8_t miscellaneous = 0x67;
static const uint8_t sequencer[] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
static const uint8_t crtc[] = {
	0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
	0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};
static const uint8_t graphics[] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff };
static const uint8_t attribute[] = {
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
	0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00,
};

static volatile uint16_t *text_screen(void)
{
	return (volatile uint16_t *)0xb8000;
}

static void vga_write(uint16_t port, uint8_t index, uint8_t value)
{
	out8(port, index);
	out8(port + 1, value);
}

/* The 64 colours of the EGA: two bits each of red, green and blue, the stronger ones in bits 2 to 0. */
static void vga_set_colours(void)
{
	out8(VGA_DAC_MASK, 0xff);
	out8(VGA_DAC_INDEX, 0);
	for (int colour = 0; colour < 64; colour++) {
		for (int bit = 2; bit >= 0; bit--)
			out8(VGA_DAC_DATA, (colour >> bit & 1) * 42 + (colour >> (bit + 3) & 1) * 21);
	}
}

void vga_reset(void)
{
	out8(VGA_MISCELLANEOUS, miscellaneous);
	vga_write(VGA_SEQUENCER, VGA_SEQUENCER_RESET, 0x01);
	for (unsigned int i = 1; i < sizeof(sequencer); i++)
		vga_write(VGA_SEQUENCER, i, sequencer[i]);
	vga_write(VGA_SEQUENCER, VGA_SEQUENCER_RESET, sequencer[VGA_SEQUENCER_RESET]);
	/* Bit 7 of this register protects the registers 0 to 7. */
	vga_write(VGA_CRTC, VGA_CRTC_PROTECT, crtc[VGA_CRTC_PROTECT] & 0x7f);
	for (unsigned int i = 0; i < sizeof(crtc); i++)
		vga_write(VGA_CRTC, i, crtc[i]);
	for (unsigned int i = 0; i < sizeof(graphics); i++)
		vga_write(VGA_GRAPHICS, i, graphics[i]);
	/* One port takes index and value in turn; reading the status makes the next write an index. */
	in8(VGA_STATUS);
	for (unsigned int i = 0; i < sizeof(attribute); i++) {
		out8(VGA_ATTRIBUTE, i);
		out8(VGA_ATTRIBUTE, attribute[i]);
	}
	vga_set_colours();
	in8(VGA_STATUS);
	out8(VGA_ATTRIBUTE, VGA_ATTRIBUTE_SHOW);
	for (int i = 0; i < TEXT_COLUMNS * TEXT_ROWS; i++)
		text_screen()[i] = TEXT_BLANK;
}

/* The lines above move up, the new one stands at the bottom. */
static void vga_show(const char *line)
{
	const int last = TEXT_COLUMNS * (TEXT_ROWS - 1);

	for (int i = 0; i < last; i++)
		text_screen()[i] = text_screen()[i + TEXT_COLUMNS];
	for (int column = 0; column < TEXT_COLUMNS; column++)
		text_screen()[last + column] = *line == '\0' ? TEXT_BLANK : TEXT_ATTRIBUTE | (uint8_t)*line++;
}

/* ---- both ---- */

void console_open(void)
{
	if ((block.flags & FLAG_CONSOLE_SERIAL) != 0 && block.serial_divisor != 0)
		uart_set_up(block.serial_port, block.serial_divisor);
}

void console_say(const char *line)
{
	if ((block.flags & FLAG_CONSOLE_SERIAL) != 0) {
		uart_send(block.serial_port, line);
		uart_send(block.serial_port, "\r\n");
	}
	if ((block.flags & FLAG_CONSOLE_VGA) != 0)
		vga_show(line);
}
