/* What the purgatory shows: lines on a VGA text screen and a serial port. */
#ifndef SLIPWAY_PURGATORY_CONSOLE_H
#define SLIPWAY_PURGATORY_CONSOLE_H

/* Puts a standard VGA into text mode 3 (80 × 25), with an empty screen. The font in its memory stays as it is. */
void vga_reset(void);

/* Sets the consoles up that the parameter block names. */
void console_open(void);

/* Shows one line, without its end, on all consoles, and waits until it has left the serial port. */
void console_say(const char *line);

#endif
