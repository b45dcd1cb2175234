import { verify } from "node:crypto";
import { latin1 } from "../../formats/bytes.ts";
import { untrustedPrefix } from "../../formats/commented-lines.ts";
import {
  isMinisignSignature,
  parseMinisignPublicKey,
  parseMinisignPublicKeyLine,
  parseMinisignSignature,
} from "../../formats/minisign.ts";
import { checkNumbered, numberedKeys } from "./numbered-key.ts";
import { ed25519PublicKey } from "./public-key.ts";
import type { Anchor, AnchorReader, DetachedScheme, UntrustedSignature } from "./scheme.ts";

const name = "minisign";

/** minisign: Ed25519 over the content's BLAKE2b-512 digest (`ED`) or over the content itself (`Ed`, legacy). */
export const minisignScheme: DetachedScheme = {
  name,
  recognises: isMinisignSignature,

  readSignatures(bytes: Uint8Array): readonly UntrustedSignature[] {
    const parsed = parseMinisignSignature(bytes);
    const { keyId } = parsed;
    const prehashed = parsed.algorithm === "prehashed";
    return [
      {
        scheme: name,
        digests: prehashed ? ["blake2b512"] : [],
        mayBeBy: (anchors) => numberedKeys(anchors, keyId).length > 0,
        check: (content, context) =>
          checkNumbered(name, keyId, context, ({ key }) => {
            const signed = prehashed ? content.digest("blake2b512") : content.bytes();
            if (!verify(null, signed, key, parsed.signature)) return "the signature does not match the file";
            if (!verify(null, parsed.globalMessage, key, parsed.globalSignature)) {
              return "the signature's trusted comment was changed";
            }
            return null;
          }),
      },
    ];
  },
};

/** A public key on one line, as `minisign -P` takes it. */
const keyLine = /^RW[Q-T][A-Za-z0-9+/]{53}\r?\n?$/;
const keyLineBytesMax = 58;

/** Public keys of minisign and signify, which have one form. */
export const minisignAnchorReader: AnchorReader = {
  what: "minisign or signify public key",

  recognises(bytes: Uint8Array): boolean {
    return isOneLine(bytes) || latin1(bytes.subarray(0, untrustedPrefix.length)) === untrustedPrefix;
  },

  readAnchors(label: string, bytes: Uint8Array): readonly Anchor[] {
    const { keyId, key } = isOneLine(bytes)
      ? parseMinisignPublicKeyLine(latin1(bytes).trimEnd())
      : parseMinisignPublicKey(bytes);
    return [{ kind: "minisign", label, id: keyId, key: ed25519PublicKey(key) }];
  },
};

function isOneLine(bytes: Uint8Array): boolean {
  return bytes.length <= keyLineBytesMax && keyLine.test(latin1(bytes));
}
