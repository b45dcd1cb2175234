import type { BootEntry } from "../discovery/entry.ts";
import { parseBls } from "../formats/bls.ts";
import { utf8 } from "../formats/bytes.ts";
import { archiveAround } from "../formats/cpio.ts";
import { FormatError } from "../formats/format-error.ts";
import { type ByteRange, type ReadRange, readExactly } from "../formats/ranges.ts";
import {
  efiArchitecture,
  joinUkiCommandLines,
  readAddon,
  readUki,
  type UkiAddon,
  type UkiExtraFile,
  type UkiImage,
} from "../formats/uki.ts";
import type { FileRange, System } from "../linux/system.ts";
import { MemoryFile } from "../trust/memory-file.ts";

/*
 * What a unified kernel image and its add-ons hand over, from their sealed bytes: what systemd-stub(7) does before it starts
 * the kernel.
 */

/** Largest section that becomes a file in the initrd, in bytes. */
export const extraFileBytesMax = 4 << 20;

/** A file in sealed memory. */
export interface SealedFile {
  readonly read: ReadRange;
  /** Bytes. */
  readonly size: number;
}

/** A part of the initrd: bytes of the image or of the add-on with this number, or an archive made here. */
export type InitrdPiece =
  | { readonly kind: "image"; readonly range: ByteRange }
  | { readonly kind: "addon"; readonly addon: number; readonly range: ByteRange }
  | { readonly kind: "archive"; readonly bytes: Uint8Array };

/** What is handed over of an image and its add-ons. */
export interface UkiHandover {
  readonly image: UkiImage;
  readonly addons: readonly UkiAddon[];
  /** The embedded command lines. */
  readonly options: string;
  /** What goes before everything: the kernel takes the first microcode that it finds. */
  readonly microcode: readonly InitrdPiece[];
  /** The image's own initrd. The initrds of a type 1 entry go before it, the companions of a type 2 entry behind it. */
  readonly initrd: readonly InitrdPiece[];
  /** What goes last: what the image says of itself, and the initrds of its add-ons. */
  readonly closing: readonly InitrdPiece[];
}

/**
 * The profile that an entry's `part` names; null is what boots when none is asked for.
 *
 * @throws FormatError for anything but `@` and a number
 */
export function profileOf(part: string | null): number {
  if (part === null) return 0;
  const digits = /^@(\d{1,3})$/.exec(part)?.[1];
  if (digits === undefined)
    throw new FormatError("uki", `"@" and a profile's number expected, not ${JSON.stringify(part)}`);
  return Number(digits);
}

/**
 * The options of an entry that starts an image: those of the image, or of the entry's own verified text where it has some,
 * then those of the add-ons. Throws as {@link readHandover} does.
 */
export function optionsAtLoad(
  entry: Pick<BootEntry, "embedded" | "configs">,
  { image, addons }: Pick<UkiHandover, "image" | "addons">,
): string {
  const [config] = entry.configs;
  if (entry.embedded || config === undefined) return joinUkiCommandLines(image, addons);
  return joinUkiCommandLines({ commandLine: parseBls(utf8(config.bytes, "bls")).options }, addons);
}

/**
 * Reads what an image with a profile and its add-ons hands over.
 *
 * @throws FormatError for what is no such image, an add-on that is not for it, and a section over {@link extraFileBytesMax}:
 * the entry was made from files that were, so these are others
 */
export function readHandover(
  read: ReadRange,
  size: number,
  part: string | null,
  addons: readonly SealedFile[],
): UkiHandover {
  const opened = openSealed(read, size, part, addons);
  const { image } = opened;
  const ofAddons = (of: "ucode" | "initrd"): InitrdPiece[] =>
    opened.addons.flatMap((addon, number) => {
      const range = addon[of];
      return range === null ? [] : [{ kind: "addon", addon: number, range }];
    });
  const ofImage = (range: ByteRange | null): InitrdPiece[] => (range === null ? [] : [{ kind: "image", range }]);
  return {
    ...opened,
    options: joinUkiCommandLines(image, opened.addons),
    microcode: [...ofAddons("ucode").reverse(), ...ofImage(image.ucode)],
    initrd: ofImage(image.initrd),
    closing: [
      ...image.extraFiles.map((file): InitrdPiece => ({ kind: "archive", bytes: archiveOf(read, file) })),
      ...ofAddons("initrd"),
    ],
  };
}

function openSealed(
  read: ReadRange,
  size: number,
  part: string | null,
  addons: readonly SealedFile[],
): { readonly image: UkiImage; readonly addons: readonly UkiAddon[] } {
  const image = readUki(read, size, profileOf(part));
  const applied = addons.map((file) => readAddon(file.read, file.size));
  for (const addon of applied) {
    if (addon.machine !== image.machine) {
      const machines = `${efiArchitecture(addon.machine)}, the image for ${efiArchitecture(image.machine)}`;
      throw new FormatError("addon", `the add-on is for ${machines}`);
    }
    if (addon.uname !== null && image.uname !== null && addon.uname !== image.uname) {
      throw new FormatError("addon", `the add-on is for another kernel version than the image`, { field: ".uname" });
    }
  }
  return { image, addons: applied };
}

/** An archive with one file, readable for all, as systemd-stub makes it. */
function archiveOf(read: ReadRange, { path, range }: UkiExtraFile): Uint8Array {
  if (range.length > extraFileBytesMax) {
    const place = { offset: range.offset, field: path };
    throw new FormatError("uki", `${range.length} bytes, at most ${extraFileBytesMax} are taken`, place);
  }
  const { bytes } = readExactly(read, range, "uki", path);
  const { before, after } = archiveAround(
    { path, mode: 0o444, directories: Number.POSITIVE_INFINITY, directoryMode: 0o555 },
    bytes.length,
  );
  return Buffer.concat([before, bytes, after]);
}

/**
 * The pieces as ranges of open files, for `joinInitrds`. Each archive is put into a sealed memory file, which `keeper`
 * disposes.
 *
 * @param image the image's file
 * @param addons the add-ons' files, in their order
 */
export function rangesOfPieces(
  system: System,
  keeper: DisposableStack,
  pieces: readonly InitrdPiece[],
  image: FileRange,
  addons: readonly FileRange[],
): FileRange[] {
  return pieces.map((piece) => {
    if (piece.kind === "archive") {
      const memory = keeper.use(new MemoryFile(system, "initrd"));
      memory.append(piece.bytes);
      memory.seal();
      return { fd: memory.fd, offset: 0, length: memory.size };
    }
    const file = piece.kind === "image" ? image : addons[piece.addon];
    if (file === undefined) throw new Error("a file for each add-on expected");
    return { fd: file.fd, offset: file.offset + piece.range.offset, length: piece.range.length };
  });
}
