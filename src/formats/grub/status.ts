/** What a command returns and `$?` shows: `grub_err_t` (include/grub/err.h), as far as a script can meet it here. */
export const grubStatus = {
  none: 0,
  testFailure: 1,
  badFileType: 4,
  fileNotFound: 5,
  fileReadError: 6,
  outOfRange: 11,
  unknownDevice: 12,
  badDevice: 13,
  unknownCommand: 16,
  invalidCommand: 17,
  badArgument: 18,
  notImplemented: 24,
  menu: 27,
  accessDenied: 30,
} as const;
