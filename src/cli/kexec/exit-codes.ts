// kexec-tools' exit codes, beside 0 and 1 (a mistake in the command line, and what cannot be begun).

/** A load, an unload or the jump failed. */
export const exitFailed = 255;
/** -s, and the running kernel has no kexec_file_load(2). */
export const exitNoFileCall = 253;
/** Not of kexec-tools: --check found a reason against. */
export const exitRefused = 2;
