import { describe, expect, it } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import {
  type EfiSignature,
  efiSignatureListBytesMax,
  isEfiSignatureList,
  parseEfiSignatureLists,
} from "../../../src/formats/efi-signature-list.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { testData } from "../../fakes/tree-data.ts";

const list = (name: string): Uint8Array => testData(`signatures/esl/${name}`);

const imageDigest = "7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede";
const plainDigest = "419de904ba19a6ae25505ff417262ea4ece7ce1d626252610174d8d8a67084ab";

function shown(signature: EfiSignature): string {
  switch (signature.kind) {
    case "x509":
      return `x509 ${signature.der.length}`;
    case "image-digest":
      return `image ${signature.digest} ${hex(signature.value)}`;
    case "tbs-digest":
      return `tbs ${signature.digest} ${hex(signature.value)}`;
  }
}

const dbLines = [
  // openssl x509 -outform DER | wc -c
  `x509 785`,
  `image sha256 ${imageDigest}`,
  `image sha256 ${plainDigest}`,
];

describe("lists made by efitools; what they hold by make.sh's output", () => {
  it.each([
    ["db.esl", dbLines],
    ["db.variable", dbLines],
    ["db.auth", dbLines],
    ["leaf-sha256.esl", [`tbs sha256 d77df7631cbd2280c94dd875ef270a6aaeb34aa09da8b81eae3100e0d6902705`]],
    [
      "leaf-sha384.esl",
      [`tbs sha384 3ca1b7e520686efea59eab083277559e7d01c6991579a0f198fea7e939cab6c4daa9cce0e54c69cd6f88ce45e0cf913f`],
    ],
    [
      "leaf-sha512.esl",
      [
        `tbs sha512 9fafe95ee25007d04c0f0a07731c4caa18042975dd7bd62537033797fb28e514d8e4f4d4535c702fac38177d164e3d3b3361e5854e90a8ffa6c20e9ad1932bc6`,
      ],
    ],
    ["middle-time.esl", [`tbs sha256 71cecc76885fb9ef122d7c52e47e47c76984e0d0780d8f7f123e69063dcaf9b9`]],
  ])("%s", (name, expected) => {
    expect(isEfiSignatureList(list(name))).toBe(true);
    expect(parseEfiSignatureLists(list(name)).map(shown)).toEqual(expected);
  });
});

/** A list of `count` signatures of zeroes; sizes that are not given fit. */
function listOf(
  type: string,
  { count = 1, size = 48, listSize = 28 + count * size, headerSize = 0 }: Partial<Record<string, number>>,
): Uint8Array {
  const [a = "", b = "", c = "", d = "", e = ""] = type.split("-");
  const turned = (text: string): string => text.match(/../g)?.reverse().join("") ?? "";
  const bytes = new Uint8Array(28 + count * size);
  bytes.set(Buffer.from(turned(a) + turned(b) + turned(c) + d + e, "hex"));
  const view = new DataView(bytes.buffer);
  for (const [index, value] of [listSize, headerSize, size].entries()) view.setUint32(16 + index * 4, value, true);
  return bytes;
}

/** Types of UEFI 2.10, 32.4.1. */
const sha256 = "c1c41626-504c-4092-aca9-41f936934328";
const x509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";
const taken = "X509, SHA256, SHA384, SHA512, X509_SHA256, X509_SHA384 or X509_SHA512";

function changed(name: string, at: number, ...bytes: number[]): Uint8Array {
  const copy = list(name).slice();
  copy.set(bytes, at);
  return copy;
}

describe("what is refused", () => {
  it.each([
    ["826ca512-cf10-4ac9-b187-be01496631bd", "SHA1"],
    ["0b6e5233-a65c-44c9-9407-d9ab83bfc8bd", "SHA224"],
    ["3c5766e8-269c-4e34-aa14-ed776e85b3b6", "RSA2048"],
    ["67f8444f-8743-48f1-a328-1eaab8736080", "RSA2048_SHA1"],
    ["e2b36190-879b-4a3d-ad8d-f2e7bba32784", "RSA2048_SHA256"],
    ["452e8ced-dfff-4b8c-ae01-5118862e682c", "EXTERNAL_MANAGEMENT"],
  ])("the type %s, as %s", (type, name) => {
    const error = `efi signature list: offset 0, SignatureType: ${taken} expected; ${name} is not taken`;
    expect(formatErrorOf(() => parseEfiSignatureLists(listOf(type, { size: 36 })))).toBe(error);
  });

  it.each([
    [new Uint8Array(0), `offset 0, SignatureType: a list of the type ${taken} expected`],
    [new Uint8Array(100), `offset 0, SignatureType: a list of the type ${taken} expected`],
    [list("db.esl").subarray(0, 20), "offset 20, SignatureHeaderSize: 4 byte(s) expected, the input ends at 20"],
    [
      Uint8Array.of(...list("image.esl"), ...new Uint8Array(28)),
      `offset 76, SignatureType: ${taken} expected, not 00000000-0000-0000-0000-000000000000`,
    ],
    [Uint8Array.of(...list("image.esl"), 1), "offset 76, SignatureType: 16 byte(s) expected, the input ends at 77"],
    [listOf(sha256, { headerSize: 8 }), "offset 20, SignatureHeaderSize: 0 expected, not 8"],
    [listOf(sha256, { size: 47 }), "offset 24, SignatureSize: 48 expected for SHA256, not 47"],
    [listOf(x509, { size: 16 }), "offset 24, SignatureSize: more than 16 expected for X509, not 16"],
    [listOf(x509, { count: 0, size: 0 }), "offset 24, SignatureSize: more than 16 expected for X509, not 0"],
    [listOf(sha256, { count: 0 }), "offset 16, SignatureListSize: 28 and a multiple of 48, up to 28, expected, not 28"],
    [
      listOf(sha256, { listSize: 77 }),
      "offset 16, SignatureListSize: 28 and a multiple of 48, up to 76, expected, not 77",
    ],
    [
      listOf(sha256, { listSize: 28 + 96 }),
      "offset 16, SignatureListSize: 28 and a multiple of 48, up to 76, expected, not 124",
    ],
    [listOf(sha256, { count: 65_537 }), "offset 0: more than 65536 signatures"],
    [
      new Uint8Array(efiSignatureListBytesMax + 1),
      `${efiSignatureListBytesMax + 1} bytes, at most ${efiSignatureListBytesMax} are taken`,
    ],
    // dwLength of an update: less than its own header, more than the file.
    [changed("db.auth", 16, 23, 0), `offset 16, dwLength: 24 to ${list("db.auth").length - 16} expected, not 23`],
    [changed("db.auth", 16, 255, 255), `offset 16, dwLength: 24 to ${list("db.auth").length - 16} expected, not 65535`],
  ])("%#", (bytes, error) => {
    expect(formatErrorOf(() => parseEfiSignatureLists(bytes))).toBe(`efi signature list: ${error}`);
  });

  it("an update without a list, and other files, are not recognised", () => {
    expect(isEfiSignatureList(list("db.auth").subarray(0, 30))).toBe(false);
    expect(isEfiSignatureList(testData("signatures/authenticode/image.efi"))).toBe(false);
  });

  it("cut and changed", () => {
    for (const name of ["images.esl", "leaf-sha512.esl", "middle-time.esl", "db.auth"]) {
      tortureParser({ bytes: list(name), parse: parseEfiSignatureLists, rounds: 2000, seed: 3, within: 200 });
    }
  });
});
