import { FormatError } from "../format-error.ts";
import { printable } from "../printable.ts";
import { type OpenPgpKey, parseOpenPgpKey } from "./key.ts";
import { type OpenPgpPacket, packetTypeName, packetTypes, readPackets } from "./packets.ts";
import { type OpenPgpSignaturePacket, readSignaturePacket } from "./signature.ts";

const format = "OpenPGP certificate";

/** Largest packet sequence with certificates, bytes. */
export const certificateBytesMax = 4_194_304;

/** Most certificates of one file. */
export const certificatesMax = 256;

/** Most subkeys of a certificate. */
export const subkeysMax = 256;

/** Longest user ID, bytes. */
export const userIdBytesMax = 4096;

/** A user ID with the signatures that stand behind it, its own certificate's and others'. */
export interface OpenPgpUserId {
  /** `User ID` or `User ID <address>` as it is in the packet; a view. */
  readonly bytes: Uint8Array;
  /** Fit to be shown. */
  readonly text: string;
  readonly signatures: readonly OpenPgpSignaturePacket[];
}

export interface OpenPgpSubkey {
  readonly key: OpenPgpKey;
  readonly signatures: readonly OpenPgpSignaturePacket[];
}

/**
 * A certificate, also called a transferable public key (RFC 9580, section 10.1): what the packets say. Nothing of it has
 * been verified.
 */
export interface OpenPgpCertificate {
  readonly primary: OpenPgpKey;
  /** Behind the primary key: direct-key signatures and revocations. */
  readonly signatures: readonly OpenPgpSignaturePacket[];
  readonly userIds: readonly OpenPgpUserId[];
  readonly subkeys: readonly OpenPgpSubkey[];
  /** What was left out, a sentence each: subkeys and user IDs that could not be read. */
  readonly leftOut: readonly string[];
}

/**
 * Parses a sequence of certificates, at least one. A signature or a subkey that is not understood costs itself alone; a
 * primary key that is not understood, or a packet that does not belong there, is an error. Markers, padding, GnuPG's trust
 * packets and private or unknown packets that are not critical (types 40 to 63) are passed over; so are user attributes and
 * unknown packets with their signatures. Throws {@link FormatError}.
 */
export function parseOpenPgpCertificates(bytes: Uint8Array): readonly OpenPgpCertificate[] {
  if (bytes.length > certificateBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${certificateBytesMax} are taken`);
  }
  const builders: CertificateBuilder[] = [];
  for (const packet of readPackets(bytes, format)) {
    const { type, offset } = packet;
    if (type === packetTypes.secretKey || type === packetTypes.secretSubkey) throw secretKeyError({ offset });
    if (type === packetTypes.publicKey) {
      if (builders.length === certificatesMax) {
        throw new FormatError(format, `at most ${certificatesMax} certificates are taken`, { offset });
      }
      builders.push(new CertificateBuilder(packet));
      continue;
    }
    if (isPassedOver(type)) continue;
    const current = builders.at(-1);
    if (current === undefined) {
      throw new FormatError(format, `a public key packet expected, not a ${packetTypeName(type)}`, { offset });
    }
    current.add(packet);
  }
  if (builders.length === 0) throw new FormatError(format, "a public key packet expected, there is none");
  return builders.map((builder) => builder.build());
}

/** Why a file with a secret key is refused. */
export function secretKeyError(place: { offset?: number; line?: number }): FormatError {
  const detail = "a secret key, which belongs nowhere near a boot image: take the public key (gpg --export)";
  return new FormatError(format, detail, place);
}

function isPassedOver(type: number): boolean {
  return type === packetTypes.marker || type === packetTypes.trust || type === packetTypes.padding;
}

interface Component<T> {
  readonly value: T;
  readonly signatures: OpenPgpSignaturePacket[];
}

class CertificateBuilder {
  readonly #primary: Component<OpenPgpKey>;
  readonly #userIds: Component<Uint8Array>[] = [];
  readonly #subkeys: Component<OpenPgpKey>[] = [];
  readonly #leftOut: string[] = [];
  /** Where the next signatures belong. */
  #signatures: OpenPgpSignaturePacket[];

  constructor({ body, offset }: OpenPgpPacket) {
    this.#signatures = [];
    this.#primary = { value: parseOpenPgpKey(body, offset), signatures: this.#signatures };
  }

  add(packet: OpenPgpPacket): void {
    const { type, body, offset } = packet;
    if (type === packetTypes.signature) {
      this.#signatures.push(readSignaturePacket(body, offset));
      return;
    }
    this.#signatures = [];
    if (type === packetTypes.publicSubkey) this.#addSubkey(packet);
    else if (type === packetTypes.userId) this.#addUserId(packet);
    else if (type !== packetTypes.userAttribute && type < 40) {
      const detail = `a user ID, a subkey or a signature expected, not a ${packetTypeName(type)}`;
      throw new FormatError(format, detail, { offset });
    }
  }

  #addSubkey({ body, offset }: OpenPgpPacket): void {
    if (this.#subkeys.length === subkeysMax) {
      throw new FormatError(format, `at most ${subkeysMax} subkeys are taken`, { offset });
    }
    try {
      const value = parseOpenPgpKey(body, offset);
      if (value.version !== this.#primary.value.version) {
        this.#leftOut.push(
          `a subkey of version ${value.version} below a key of version ${this.#primary.value.version}`,
        );
        return;
      }
      this.#subkeys.push({ value, signatures: this.#signatures });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#leftOut.push(`a subkey: ${error.message}`);
    }
  }

  #addUserId({ body }: OpenPgpPacket): void {
    if (body.length > userIdBytesMax) {
      this.#leftOut.push(`a user ID of ${body.length} bytes, at most ${userIdBytesMax} are taken`);
      return;
    }
    this.#userIds.push({ value: body, signatures: this.#signatures });
  }

  build(): OpenPgpCertificate {
    return {
      primary: this.#primary.value,
      signatures: this.#primary.signatures,
      userIds: this.#userIds.map(({ value, signatures }) => ({ bytes: value, text: userIdText(value), signatures })),
      subkeys: this.#subkeys.map(({ value, signatures }) => ({ key: value, signatures })),
      leftOut: this.#leftOut,
    };
  }
}

/** User IDs are UTF-8 by convention only (RFC 9580, section 5.11). */
function userIdText(bytes: Uint8Array): string {
  return printable(new TextDecoder("utf-8").decode(bytes));
}
