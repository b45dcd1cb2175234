/* Parts of the first PC that a 16-bit target expects as its BIOS has left them. */
#ifndef SLIPWAY_PURGATORY_LEGACY_H
#define SLIPWAY_PURGATORY_LEGACY_H

void legacy_devices_reset(void);

#endif
