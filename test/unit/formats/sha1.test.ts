import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import { sha1 } from "../../../src/formats/sha1.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

// FIPS 180-4's examples, as NIST publishes them.
test.each([
  ["abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
  ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
  ["", "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
])("%j", (text, digest) => expect(hex(sha1(bytesOf(text)))).toBe(digest));

test("every length around the edges of a block, against OpenSSL", () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => index * 7 + length);
    expect(hex(sha1(bytes))).toBe(createHash("sha1").update(bytes).digest("hex"));
  }
});
