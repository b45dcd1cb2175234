import { ByteReader } from "../bytes.ts";

/** Largest area of subpackets, bytes; what version 4 can say. */
export const subpacketAreaBytesMax = 65_535;

/** Subpacket types (RFC 9580, section 5.2.3.7) that this program asks for. */
export const subpacketTypes = {
  created: 2,
  signatureExpires: 3,
  exportable: 4,
  revocable: 7,
  keyExpires: 9,
  preferredCiphers: 11,
  revocationKey: 12,
  issuerKeyId: 16,
  notation: 20,
  preferredHashes: 21,
  preferredCompressions: 22,
  keyServerPreferences: 23,
  preferredKeyServer: 24,
  primaryUserId: 25,
  keyFlags: 27,
  signerUserId: 28,
  revocationReason: 29,
  features: 30,
  embeddedSignature: 32,
  issuerFingerprint: 33,
  preferredAead: 34,
  preferredCipherSuites: 39,
} as const;

const subpacketNames: ReadonlyMap<number, string> = new Map([
  [2, "creation time"],
  [3, "signature expiration time"],
  [4, "exportable certification"],
  [5, "trust"],
  [6, "regular expression"],
  [7, "revocable"],
  [9, "key expiration time"],
  [12, "revocation key"],
  [16, "issuer key ID"],
  [20, "notation"],
  [25, "primary user ID"],
  [26, "policy URI"],
  [27, "key flags"],
  [28, "signer's user ID"],
  [29, "reason for revocation"],
  [31, "signature target"],
  [32, "embedded signature"],
  [33, "issuer fingerprint"],
  [35, "intended recipient"],
]);

/** `subpacket 26 (policy URI)` */
export function subpacketName(type: number): string {
  const name = subpacketNames.get(type);
  return name === undefined ? `subpacket ${type}` : `subpacket ${type} (${name})`;
}

export interface Subpacket {
  readonly type: number;
  /** Whoever does not understand it must not believe the signature. */
  readonly critical: boolean;
  readonly body: ByteReader;
}

/** Splits an area of subpackets (RFC 9580, section 5.2.3.7). Throws {@link FormatError}. */
export function readSubpackets(area: Uint8Array, format: string, base: number): readonly Subpacket[] {
  const reader = new ByteReader(area, format, base);
  const subpackets: Subpacket[] = [];
  for (let offset = 0; offset < area.length; ) {
    const length = readLength(reader, offset);
    if (length.value === 0) reader.fail("a subpacket without a type", offset);
    const start = offset + length.bytes;
    const type = reader.u8(start, "subpacket type");
    const name = subpacketName(type & 0x7f);
    const body = new ByteReader(reader.slice(start + 1, length.value - 1, name), format, base + start + 1);
    subpackets.push({ type: type & 0x7f, critical: type >= 0x80, body });
    offset = start + length.value;
  }
  return subpackets;
}

function readLength(reader: ByteReader, offset: number): { readonly value: number; readonly bytes: number } {
  const field = "subpacket length";
  const first = reader.u8(offset, field);
  if (first < 192) return { value: first, bytes: 1 };
  if (first < 255) return { value: ((first - 192) << 8) + reader.u8(offset + 1, field) + 192, bytes: 2 };
  return { value: reader.u32be(offset + 1, field), bytes: 5 };
}
