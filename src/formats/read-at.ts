/**
 * Reads `length` bytes at `offset` (bytes from the start of the device). Returns fewer only where the device ends; a
 * failed read rejects, and the parsers let that through unchanged, so that a bad sector is never taken for "not here".
 */
export type ReadAt = (offset: bigint, length: number) => Promise<Uint8Array>;
