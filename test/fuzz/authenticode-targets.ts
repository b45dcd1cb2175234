import { findAppendedSignature } from "../../src/formats/appended-signature.ts";
import { parseAuthenticodeSignature, readAuthenticode } from "../../src/formats/authenticode.ts";
import { parseEfiSignatureLists } from "../../src/formats/efi-signature-list.ts";
import { rangesOf } from "../../src/formats/ranges.ts";
import { parseSbatLevels, parseSbatSection, sbatRefusal } from "../../src/formats/sbat.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, grade, isFormatError, seedsOf, textOf } from "./target-kinds.ts";

const images = seedsOf("signatures/authenticode", /\.efi$/);
const words = [Uint8Array.of(0, 2, 2, 0), Uint8Array.of(0xff, 0xff, 0xff, 0xff), Uint8Array.of(0, 0, 0, 0)];

/** The messages of an image's table. */
function messagesOf(image: Uint8Array): Uint8Array[] {
  return readAuthenticode(rangesOf(image), image.length).certificates.flatMap(({ message }) => message ?? []);
}

const section = "sbat,1,SBAT Version,sbat,1,https://slipway.invalid/\ngrub,2,A,grub,2.04,https://slipway.invalid/\n";

/** Parsers of what firmware's trust is made of: images with signatures, lists, levels; and of the kernel's signatures. */
export const authenticodeTargets: readonly FuzzTarget[] = [
  binaryTarget("authenticode image", images, ["MZ", "PE\0\0", ".sbat", ...words], (bytes) => {
    const image = readAuthenticode(rangesOf(bytes), bytes.length);
    const covered = image.covered.reduce((sum, { length }) => sum + length, 0);
    const table = image.pe.certificates?.length ?? 0;
    const place = image.pe.certificateDirectoryOffset === null ? 0 : 8;
    // Every byte is covered, or is one of those that cannot be.
    if (covered + table + place + 4 !== bytes.length)
      throw new Error(`${covered} of ${bytes.length} bytes are covered`);
    return `${image.certificates.map(({ reason }) => reason ?? "good").join()} ${image.irregular === null}`;
  }),
  binaryTarget(
    "authenticode message",
    images.flatMap(messagesOf),
    [Uint8Array.of(0x30, 0x80), Uint8Array.of(0x02, 0x01), Uint8Array.of(0x31, 0x00), Uint8Array.of(0xa0, 0x82)],
    (bytes) => {
      const { cms, imageHash, imageDigest } = parseAuthenticodeSignature(bytes);
      return `${imageHash} ${imageDigest.length} ${cms.signers.length} ${cms.certificates.length}`;
    },
  ),
  binaryTarget(
    "appended signature",
    seedsOf("signatures/appended", /^(?:leaf|curve|twice|chain|content)$/),
    ["~Module signature appended~\n", Uint8Array.of(0, 0, 2, 0, 0, 0, 0, 0), ...words],
    (bytes) => {
      const found = findAppendedSignature(bytes);
      if (found === null) return "none";
      const { content, message } = found;
      if (content.offset !== 0 || content.length !== message.offset)
        throw new Error("bytes between file and signature");
      if (message.offset + message.length + 40 !== bytes.length) throw new Error("bytes behind the signature");
      return `some ${grade(message.length)}`;
    },
  ),
  binaryTarget("efi signature list", seedsOf("signatures/esl", /\.(?:esl|auth|variable)$/), words, (bytes) => {
    const signatures = parseEfiSignatureLists(bytes);
    return `${grade(signatures.length)} ${[...new Set(signatures.map(({ kind }) => kind))].join()}`;
  }),
  {
    name: "sbat",
    seeds: [textOf(section), textOf("sbat,1,2022052400\ngrub,3\n")],
    tokens: ["sbat", "grub", ",", "\n", "\0", "1", "2147483647", "2147483648", "\ufeff"],
    text: true,
    run: (bytes) => {
      const levels = parseSbatLevels(new TextDecoder().decode(bytes));
      const image = parseSbatSection(bytes);
      return `${grade(image.length)} ${grade(levels.length)} ${sbatRefusal(image, levels) === null}`;
    },
    isExpected: isFormatError,
  },
];
