import { describe, expect, it } from "vitest";
import { readRevocations } from "../../../src/trust/revocations.ts";
import { noRevocations } from "../../../src/trust/schemes/scheme.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";
import { signatureData } from "../../fakes/signature-data.ts";

const list = (name: string): Uint8Array => signatureData(`esl/${name}`);

/** Digests as openssl and hash-to-efi-sig-list print them, see make.sh. */
const image = "sha256:7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede";
const plain = "sha256:419de904ba19a6ae25505ff417262ea4ece7ce1d626252610174d8d8a67084ab";
const leaf = {
  der: "29a3286246d37a6279a6b4dc491fdcf6ccde567ef631bec37d767008156fcb9f",
  tbs256: "sha256:d77df7631cbd2280c94dd875ef270a6aaeb34aa09da8b81eae3100e0d6902705",
  tbs384: "sha384:3ca1b7e520686efea59eab083277559e7d01c6991579a0f198fea7e939cab6c4daa9cce0e54c69cd6f88ce45e0cf913f",
};
const middle = "sha256:71cecc76885fb9ef122d7c52e47e47c76984e0d0780d8f7f123e69063dcaf9b9";

describe("revocations", () => {
  it("none", () => {
    expect(readRevocations({ dbx: [], sbat: [] })).toEqual(noRevocations);
  });

  it("several lists add up", () => {
    const dbx = ["image.esl", "images.esl", "leaf.esl", "leaf-sha384.esl", "middle-time.esl"].map(list);
    expect(readRevocations({ dbx, sbat: [] })).toEqual({
      imageDigests: new Set([image, plain]),
      certificates: new Set([leaf.der]),
      tbsDigests: new Set([leaf.tbs256, leaf.tbs384, middle]),
      sbat: null,
    });
  });

  it("as a variable, and as an update of one", () => {
    for (const name of ["db.variable", "db.auth"]) {
      expect(readRevocations({ dbx: [list(name)], sbat: [] }).imageDigests).toEqual(new Set([image, plain]));
    }
  });

  it("a certificate that cannot be read is known by its digest alone", () => {
    const bytes = list("leaf.esl");
    bytes[28 + 16] = 0x31;
    const { certificates, tbsDigests } = readRevocations({ dbx: [bytes], sbat: [] });
    expect([certificates.size, tbsDigests.size]).toEqual([1, 0]);
  });

  it("of each component, the highest level", () => {
    expect(
      readRevocations({ dbx: [], sbat: ["sbat,1,2022052400\ngrub,2\nshim,4\n", "sbat,1\ngrub,3\nshim,1\n"] }).sbat,
    ).toEqual([
      { name: "sbat", generation: 1 },
      { name: "grub", generation: 3 },
      { name: "shim", generation: 4 },
    ]);
  });

  it("a list that is broken takes all with it", () => {
    expect(formatErrorOf(() => readRevocations({ dbx: [list("image.esl"), new Uint8Array(4)], sbat: [] }))).toBe(
      "efi signature list: offset 0, SignatureType: a list of the type X509, SHA256, SHA384, SHA512, X509_SHA256, X509_SHA384 or X509_SHA512 expected",
    );
    expect(formatErrorOf(() => readRevocations({ dbx: [], sbat: ["sbat,1\n", ""] }))).toBe(
      "sbat: a component expected, the text is empty",
    );
  });
});
