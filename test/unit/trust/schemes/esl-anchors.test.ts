import { describe, expect, it } from "vitest";
import { eslAnchorReader } from "../../../../src/trust/schemes/esl-anchors.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { signatureData } from "../../../fakes/signature-data.ts";

const list = (name: string): Uint8Array => signatureData(`esl/${name}`);

/** Digests as openssl and hash-to-efi-sig-list print them, see make.sh. */
const rootId = "084f1da15919fefd0dff8a27d345f262291133ef0b93043d8e02705be5428b6d";
const db = [
  ["x509", "db", rootId],
  ["image-digest", "db#2", "sha256:7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede"],
  ["image-digest", "db#3", "sha256:419de904ba19a6ae25505ff417262ea4ece7ce1d626252610174d8d8a67084ab"],
];

describe("lists of what is trusted", () => {
  it.each([
    ["db.esl", db],
    ["db.variable", db],
    ["db.auth", db],
    ["root.esl", db.slice(0, 1)],
  ])("%s", (name, expected) => {
    expect(eslAnchorReader.recognises(list(name))).toBe(true);
    const anchors = eslAnchorReader.readAnchors("db", list(name));
    expect(anchors.map(({ kind, label, id }) => [kind, label, id])).toEqual(expected);
  });

  it.each([
    [
      list("leaf-sha384.esl"),
      "efi signature list: a list of what is trusted holds certificates and digests, not X509_SHA384",
    ],
    [
      list("root.esl").subarray(0, -1),
      "efi signature list: offset 16, SignatureListSize: 28 and a multiple of 801, up to 828, expected, not 829",
    ],
    [list("db.auth").subarray(0, 100), "efi signature list: offset 16, dwLength: 24 to 84 expected, not 1197"],
  ])("%#: refused", (bytes, error) => {
    expect(eslAnchorReader.recognises(bytes)).toBe(true);
    expect(formatErrorOf(() => eslAnchorReader.readAnchors("db", bytes))).toBe(error);
  });

  it("a certificate that is none", () => {
    const bytes = list("root.esl");
    bytes[28 + 16] = 0x31;
    expect(formatErrorOf(() => eslAnchorReader.readAnchors("db", bytes))).toBe(
      "x509: offset 0, Certificate: tag 0x30 expected, not 0x31",
    );
  });

  it("other files are not taken for one", () => {
    for (const name of ["authenticode/root.crt", "authenticode/image.efi", "appended/leaf"]) {
      expect(eslAnchorReader.recognises(signatureData(name))).toBe(false);
    }
  });
});
