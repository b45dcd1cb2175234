import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type TrustClock, timelessClock } from "../../src/trust/clock.ts";
import type { Anchor, AnchorReader, DetachedScheme, SignedContent } from "../../src/trust/schemes/scheme.ts";
import { noRevocations } from "../../src/trust/schemes/scheme.ts";
import { formatErrorOf } from "./hostile-input.ts";

/** A file below test/data/signatures. */
export function signatureData(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../data/signatures/${path}`, import.meta.url)));
}

export function signatureText(path: string): string {
  return new TextDecoder("latin1").decode(signatureData(path));
}

export function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

/** Content that tells which digests were asked for. */
export function signedContent(bytes: Uint8Array, asked: string[] = []): SignedContent {
  return {
    size: bytes.length,
    digest(name) {
      asked.push(name);
      return createHash(name).update(bytes).digest();
    },
    bytes() {
      asked.push("bytes");
      return bytes;
    },
  };
}

export function anchorsOf(reader: AnchorReader, path: string, label = path): readonly Anchor[] {
  return reader.readAnchors(label, signatureData(path));
}

/** What the one signature of a file says of a content: `by LABEL`, or the reason why it is refused. */
export function verdictOf(
  scheme: DetachedScheme,
  signature: Uint8Array,
  content: Uint8Array,
  anchors: readonly Anchor[],
  clock: TrustClock = timelessClock,
): string {
  const [only, ...more] = scheme.readSignatures(signature);
  if (only === undefined || more.length > 0) throw new Error("one signature expected");
  const { signer, reason } = only.check(signedContent(content), { anchors, clock, revocations: noRevocations });
  return signer === null ? reason : `by ${signer.label}`;
}

/** The bits of a signature that can be turned while the verdict stays `accepted`. */
export function bitsThatMayTurn(
  scheme: DetachedScheme,
  signature: Uint8Array,
  content: Uint8Array,
  anchors: readonly Anchor[],
  accepted: string,
): number[] {
  expect(verdictOf(scheme, signature, content, anchors)).toBe(accepted);
  const found: number[] = [];
  for (const { bit, bytes } of flippedBits(signature)) {
    formatErrorOf(() => {
      if (scheme.recognises(bytes) && verdictOf(scheme, bytes, content, anchors) === accepted) found.push(bit);
    });
  }
  return found;
}

/** All that one bit can change, one after the other. */
export function* flippedBits(bytes: Uint8Array): Generator<{ readonly bit: number; readonly bytes: Uint8Array }> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield { bit, bytes: changed };
  }
}
