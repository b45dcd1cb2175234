import { describe, expect, it } from "vitest";
import { readRevocations } from "../../../../src/trust/revocations.ts";
import { appendedScheme } from "../../../../src/trust/schemes/appended.ts";
import { noRevocations, type Revocations } from "../../../../src/trust/schemes/scheme.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { flippedBits, signatureData, signedContent } from "../../../fakes/signature-data.ts";
import { certificateAnchor, verdicts } from "./enclosed.ts";

const file = (name: string): Uint8Array => signatureData(`appended/${name}`);

function judge(name: string, by: string, revocations: Revocations = noRevocations): string[] {
  return verdicts(appendedScheme, file(name), [certificateAnchor(by)], revocations);
}

/** Which of them openssl finds good, and by whom, is in make.sh's output. */
describe("signatures by sign-file", () => {
  it.each([
    ["leaf", "leaf", "leaf"],
    ["sha512", "leaf", "leaf"],
    ["curve", "curve", "curve"],
    ["key-id", "leaf", "leaf"],
    // As the kernel, which looks at no clock.
    ["expired", "expired", "expired"],
    // The last one counts.
    ["twice", "leaf", "leaf"],
    ["twice", "stranger", "other"],
    // With the certificates above the signer's.
    ["chain", "leaf", "leaf"],
    ["chain", "middle", "middle: CN=leaf,O=Slipway tests"],
    ["chain", "root", "root: CN=leaf,O=Slipway tests"],
    // Which certificate it is by is not enclosed, and root is not it.
    ["leaf", "root", "other"],
    ["leaf", "stranger", "other"],
    ["sha1", "leaf", "refused: the signature is made with SHA-1, which is too weak"],
    [
      "root",
      "root",
      'refused: certificate "CN=root,O=Slipway tests" is not for signatures: its key usage lacks digitalSignature',
    ],
    ["enclosing", "leaf", "refused: the signature holds a content of its own, one over the file before it expected"],
  ])("%s for %s: %s", (name, by, expected) => {
    expect(judge(name, by)).toEqual([expected]);
  });

  it("a certificate that was taken back", () => {
    const revocations = readRevocations({ dbx: [signatureData("esl/middle-time.esl")], sbat: [] });
    expect(judge("chain", "root", revocations)).toEqual([
      'refused: certificate "CN=middle,O=Slipway tests" is revoked',
    ]);
  });

  it("a file without a signature has none", () => {
    expect(judge("content", "leaf")).toEqual([]);
  });
});

describe("what is refused as a whole", () => {
  it.each([
    [file("no-signer"), "appended signature: a signer expected, the message has none"],
    [
      Uint8Array.of(...file("leaf"), 0),
      `appended signature: offset ${file("leaf").length}: 1 byte(s) behind the signature, which has to be the file's end`,
    ],
  ])("%#", (bytes, error) => {
    expect(formatErrorOf(() => appendedScheme.readSignatures(signedContent(bytes)))).toBe(error);
  });

  it("a message that is cut", () => {
    const bytes = file("leaf");
    // sig_len, one less: the message begins one byte later.
    const at = bytes.length - 29;
    bytes[at] = (bytes[at] ?? 0) - 1;
    expect(formatErrorOf(() => appendedScheme.readSignatures(signedContent(bytes)))).toBe(
      "cms: offset 0, ContentInfo: tag 0x30 expected, not 0x82",
    );
  });
});

it("every bit of a signed file counts", () => {
  const anchors = [certificateAnchor("leaf")];
  const survivors: number[] = [];
  for (const { bit, bytes } of flippedBits(file("leaf"))) {
    formatErrorOf(() => {
      if (verdicts(appendedScheme, bytes, anchors).includes("leaf")) survivors.push(bit);
    });
  }
  expect(survivors).toEqual([]);
});
