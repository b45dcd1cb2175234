import { describe, expect, it } from "vitest";
import { appendedSignatureBytesMax, findAppendedSignature } from "../../../src/formats/appended-signature.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const signed = testData("signatures/appended/leaf");
const contentBytes = testData("signatures/appended/content").length;
/** `struct module_signature` and the last line. */
const descriptorAt = signed.length - 40;

function changed(at: number, ...bytes: number[]): Uint8Array {
  const copy = signed.slice();
  copy.set(bytes, at);
  return copy;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const lastLine = "~Module signature appended~\n";

describe("signatures by sign-file", () => {
  it("one behind a file", () => {
    expect(findAppendedSignature(signed)).toEqual({
      content: { offset: 0, length: contentBytes },
      message: { offset: contentBytes, length: descriptorAt - contentBytes },
    });
  });

  it("one behind a file that has one", () => {
    const once = testData("signatures/appended/stranger");
    const found = findAppendedSignature(testData("signatures/appended/twice"));
    expect(found?.content).toEqual({ offset: 0, length: once.length });
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["a file", testData("signatures/appended/content")],
    ["a kernel that knows of signatures", encode(`\0\0${lastLine}\0module verification failed`)],
    ["the same with something like a length before it", encode(`${"\xff".repeat(12)}${lastLine}\0`)],
  ])("none: %s", (_, bytes) => {
    expect(findAppendedSignature(bytes)).toBeNull();
  });
});

describe("what is refused", () => {
  it.each([
    [
      Uint8Array.of(...signed, 0),
      `offset ${signed.length}: 1 byte(s) behind the signature, which has to be the file's end`,
    ],
    [
      Uint8Array.of(...signed, ...new Uint8Array(4000)),
      `offset ${signed.length}: 4000 byte(s) behind the signature, which has to be the file's end`,
    ],
    [encode(lastLine), "offset 0: 12 bytes of module_signature expected before the last line"],
    [changed(descriptorAt + 2, 0), `offset ${descriptorAt + 2}, id_type: PKCS7 (2) expected, not PGP`],
    [changed(descriptorAt + 2, 1), `offset ${descriptorAt + 2}, id_type: PKCS7 (2) expected, not X509`],
    [changed(descriptorAt + 2, 3), `offset ${descriptorAt + 2}, id_type: PKCS7 (2) expected, not 3`],
    [changed(descriptorAt, 1), `offset ${descriptorAt}, algo: 0 expected, not 1`],
    [changed(descriptorAt + 1, 4), `offset ${descriptorAt + 1}, hash: 0 expected, not 4`],
    [changed(descriptorAt + 3, 1), `offset ${descriptorAt + 3}, signer_len: 0 expected, not 1`],
    [changed(descriptorAt + 4, 1), `offset ${descriptorAt + 4}, key_id_len: 0 expected, not 1`],
    [changed(descriptorAt + 7, 9), `offset ${descriptorAt + 7}, pad: 0 expected, not 9`],
    [
      changed(descriptorAt + 8, 0, 0, 0, 0),
      `offset ${descriptorAt + 8}, sig_len: 1 to ${descriptorAt} expected, not 0`,
    ],
    [
      changed(descriptorAt + 8, 0, 1, 0, 0),
      `offset ${descriptorAt + 8}, sig_len: 1 to ${descriptorAt} expected, not 65536`,
    ],
  ])("%#", (bytes, error) => {
    expect(formatErrorOf(() => findAppendedSignature(bytes))).toBe(`appended signature: ${error}`);
  });

  it("a message over the limit", () => {
    const large = new Uint8Array(appendedSignatureBytesMax + 100);
    large.set(signed.subarray(descriptorAt), large.length - 40);
    large.set([0, 0x10, 0, 1], large.length - 32);
    expect(formatErrorOf(() => findAppendedSignature(large))).toBe(
      `appended signature: offset ${large.length - 32}, sig_len: 1 to ${appendedSignatureBytesMax} expected, not 1048577`,
    );
  });

  it("cut and changed", () => {
    tortureParser({ bytes: signed, parse: findAppendedSignature, rounds: 2000, seed: 4 });
    const tail = signed.subarray(descriptorAt - 20);
    tortureParser({ bytes: tail, parse: findAppendedSignature, rounds: 2000, seed: 5 });
  });
});
