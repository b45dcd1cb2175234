import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { hex } from "../../../../src/formats/bytes.ts";
import { Sha256 } from "../../../../src/formats/compression/sha256.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

function sha256(...parts: readonly Uint8Array[]): string {
  const hash = new Sha256();
  for (const part of parts) hash.update(part);
  return hex(hash.digest());
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

// FIPS 180-2, appendix B, and the empty message of NIST's SHA256ShortMsg.rsp.
test.each([
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
])("%.10s", (message, digest) => expect(sha256(text(message))).toBe(digest));

test("every length around two blocks, in parts, as the runtime has it", () => {
  const random = randomNumbers(256);
  for (let length = 0; length <= 130; length++) {
    const message = Uint8Array.from({ length }, () => random() >>> 3);
    const cut = random() % (length + 1);
    const expected = createHash("sha256").update(message).digest("hex");
    expect(sha256(message.subarray(0, cut), message.subarray(cut))).toBe(expected);
  }
});
