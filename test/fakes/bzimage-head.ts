/** Fields of the setup header that tests change, at the offsets of Documentation/arch/x86/boot.rst. */
export interface BzImageHead {
  readonly protocol?: number;
  readonly xloadFlags?: number;
  readonly commandLineBytesMax?: number;
  readonly loadFlags?: number;
}

/** The first sectors of a bzImage of protocol 2.15 with a 64-bit entry point. */
export function bzImageHead(own: BzImageHead = {}): Uint8Array {
  const bytes = Buffer.alloc(5 * 512);
  bytes[0x1f1] = 4;
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.writeUInt16LE(0x6aeb, 0x200);
  bytes.write("HdrS", 0x202);
  bytes.writeUInt16LE(own.protocol ?? 0x20f, 0x206);
  bytes[0x211] = own.loadFlags ?? 1;
  bytes.writeUInt32LE(0x200000, 0x230);
  bytes[0x234] = 1;
  bytes.writeUInt16LE(own.xloadFlags ?? 3, 0x236);
  bytes.writeUInt32LE(own.commandLineBytesMax ?? 2047, 0x238);
  return bytes;
}

/** The same as a whole file: with a little that stands for the protected-mode kernel. */
export function bzImageFile(own: BzImageHead = {}): Uint8Array {
  return Buffer.concat([bzImageHead(own), new Uint8Array(16)]);
}
