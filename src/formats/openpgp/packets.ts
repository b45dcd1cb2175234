import { ByteReader } from "../bytes.ts";
import { FormatError } from "../format-error.ts";

/** Packet types (RFC 9580, section 5). */
export const packetTypes = {
  signature: 2,
  secretKey: 5,
  publicKey: 6,
  secretSubkey: 7,
  marker: 10,
  trust: 12,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
  padding: 21,
} as const;

const packetTypeNames: ReadonlyMap<number, string> = new Map([
  [1, "public-key encrypted session key"],
  [2, "signature"],
  [3, "symmetric-key encrypted session key"],
  [4, "one-pass signature"],
  [5, "secret key"],
  [6, "public key"],
  [7, "secret subkey"],
  [8, "compressed data"],
  [9, "encrypted data"],
  [10, "marker"],
  [11, "literal data"],
  [12, "trust"],
  [13, "user ID"],
  [14, "public subkey"],
  [17, "user attribute"],
  [18, "encrypted data"],
  [20, "encrypted data"],
  [21, "padding"],
]);

/** `literal data packet`, `packet of type 63` */
export function packetTypeName(type: number): string {
  const name = packetTypeNames.get(type);
  return name === undefined ? `packet of type ${type}` : `${name} packet`;
}

/** Most packets of one file. */
export const packetsMax = 65_536;

export interface OpenPgpPacket {
  readonly type: number;
  /** From the start of the packet sequence, bytes. */
  readonly offset: number;
  /** A view. */
  readonly body: Uint8Array;
}

/**
 * Splits a packet sequence (RFC 9580, section 4.2), with headers in the current and in the legacy form. Lengths have to be
 * known: partial and indeterminate ones are for data, never for keys and signatures. Throws {@link FormatError}.
 */
export function readPackets(bytes: Uint8Array, format: string): readonly OpenPgpPacket[] {
  const reader = new ByteReader(bytes, format);
  const packets: OpenPgpPacket[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    if (packets.length === packetsMax) reader.fail(`at most ${packetsMax} packets are taken`, offset);
    const header = readHeader(reader, offset);
    const body = reader.slice(offset + header.bytes, header.bodyBytes, `body of a ${packetTypeName(header.type)}`);
    packets.push({ type: header.type, offset, body });
    offset += header.bytes + header.bodyBytes;
  }
  return packets;
}

/** Type and first byte of the first packet, which of keys and signatures is the version; null where there is none. */
export function firstPacket(bytes: Uint8Array): { readonly type: number; readonly firstByte: number } | null {
  const reader = new ByteReader(bytes.subarray(0, headerBytesMax + 1), "OpenPGP");
  try {
    const header = readHeader(reader, 0);
    return { type: header.type, firstByte: reader.u8(header.bytes, "version") };
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

/** Longest packet header, bytes. */
const headerBytesMax = 6;

interface PacketHeader {
  readonly type: number;
  readonly bytes: number;
  readonly bodyBytes: number;
}

const field = "packet length";

function readHeader(reader: ByteReader, offset: number): PacketHeader {
  const first = reader.u8(offset, "packet header");
  if ((first & 0x80) === 0) reader.fail(`a packet header expected, not byte ${first}`, offset);
  return (first & 0x40) === 0 ? readLegacyHeader(reader, offset, first) : readCurrentHeader(reader, offset, first);
}

/** RFC 9580, section 4.2.1 */
function readCurrentHeader(reader: ByteReader, offset: number, first: number): PacketHeader {
  const type = first & 0x3f;
  const length = reader.u8(offset + 1, field);
  if (length < 192) return { type, bytes: 2, bodyBytes: length };
  if (length < 224) {
    return { type, bytes: 3, bodyBytes: ((length - 192) << 8) + reader.u8(offset + 2, field) + 192 };
  }
  if (length < 255) reader.fail("a partial length: keys and signatures are packets of a known length", offset, field);
  return { type, bytes: 6, bodyBytes: reader.u32be(offset + 2, field) };
}

/** RFC 9580, section 4.2.2 */
function readLegacyHeader(reader: ByteReader, offset: number, first: number): PacketHeader {
  const type = (first >> 2) & 0xf;
  switch (first & 3) {
    case 0:
      return { type, bytes: 2, bodyBytes: reader.u8(offset + 1, field) };
    case 1:
      return { type, bytes: 3, bodyBytes: reader.u16be(offset + 1, field) };
    case 2:
      return { type, bytes: 5, bodyBytes: reader.u32be(offset + 1, field) };
    default:
      return reader.fail("an indeterminate length: keys and signatures are packets of a known length", offset, field);
  }
}
