import { createHash } from "node:crypto";
import { FormatError } from "../formats/format-error.ts";
import { type PeImage, type PeSection, readPe } from "../formats/pe.ts";
import type { ByteRange, ReadRange } from "../formats/ranges.ts";
import { type StubDirectory, type StubFile, stubArchive } from "../formats/stub-archive.ts";
import {
  type BankHash,
  eventType,
  extendPcr,
  type NewEvent,
  type PcrValues,
  startValue,
  taggedEventData,
} from "../formats/tpm-event-log.ts";
import { type Bank, type BankAlgorithm, type BankDigest, isBank } from "../formats/tpm2.ts";
import { joinUkiCommandLines, readAddon } from "../formats/uki.ts";

/*
 * What is measured of a boot, into which PCR, in which order: docs/measured-boot.md. Sealed secrets rely on these values, so
 * that whatever changes here is a change of the public contract.
 */

/** PCRs, by what Slipway measures into them. */
export const measuredPcrs = {
  /** The policy, and command lines, as GRUB does. */
  texts: 8,
  /** Files as they were loaded, as GRUB does. */
  files: 9,
  /** Sections of a unified kernel image, as systemd-stub does. */
  image: 11,
  /** What an image was given, as systemd-stub does. */
  imageParameters: 12,
  /** System extensions, as systemd-stub does. */
  systemExtensions: 13,
} as const;

/** PCRs that an opened shell is measured into: all that firmware and boot loaders use. */
const shellPcrs: readonly number[] = Array.from({ length: 16 }, (_, pcr) => pcr);

/** Bytes beyond its file that a section may have in memory: they are zeroes, and are measured. */
export const sectionPaddingBytesMax = 16 << 20;

/** What a measured file is to the boot. In the order of this list they are measured. */
export const measuredRoles = ["linux", "initrd", "devicetree", "overlay", "module", "addon"] as const;
export type MeasuredRole = (typeof measuredRoles)[number];

/** A file that is loaded, as it stands on the disk. */
export interface MeasuredFile {
  readonly role: MeasuredRole;
  /** From its volume's root. */
  readonly path: string;
  /** Of all its bytes. */
  digest(bank: Bank): Uint8Array;
}

/** Bytes of a file that cannot change any more. */
export interface MeasuredBytes {
  readonly read: ReadRange;
  /** Bytes. */
  readonly size: number;
}

/** An add-on, in the order in which it is applied. */
export interface MeasuredAddon extends MeasuredBytes {
  /** Its file's name, without directories. */
  readonly name: string;
}

/** A file beside an image that becomes part of the initrd. */
export interface MeasuredCompanion {
  /** Where it is in the initrd: `/.extra/credentials/a.cred`. One elsewhere is measured as a file only. */
  readonly path: string;
  bytes(): Uint8Array;
}

/** A unified kernel image and what it is started with. */
export interface MeasuredImage extends MeasuredBytes {
  /** 0: what boots when none is asked for. */
  readonly profile: number;
  /** The device tree among those of the image that are for one machine each (`.dtbauto`) that this machine uses. */
  readonly boardDevicetree: ByteRange | null;
  /** Options that are handed over in place of the image's own, those of the add-ons behind them; null when its own are. */
  readonly options: string | null;
  readonly addons: readonly MeasuredAddon[];
  readonly companions: readonly MeasuredCompanion[];
}

/** Everything of a boot that is measured. */
export interface MeasureInput {
  /** The policy in force, as its canonical text. */
  readonly policy: Uint8Array;
  /** Exactly as it is handed over, `BOOT_IMAGE=` with it. */
  readonly commandLine: string;
  /** Of multiboot modules, in their order. */
  readonly moduleCommandLines: readonly string[];
  /** What of a kernel file that holds several is taken: `#conf-1`; null: its default, or a profile, which the image tells. */
  readonly part: string | null;
  /** Initrds that become files of an archive, and are no companions of an image: see docs/measured-boot.md. */
  readonly initrdMembers: readonly string[];
  /** Those of each role in the order in which they are loaded. */
  readonly files: readonly MeasuredFile[];
  /** Null when what boots is no unified kernel image. */
  readonly image: MeasuredImage | null;
}

/** One event: what is extended into which PCR, and what the log says about it. */
export interface Measurement extends NewEvent {
  /** For people: `command line`, `kernel "/vmlinuz"`. */
  readonly what: string;
}

/** What a bank hashes with; null for one whose algorithm Slipway does not compute. */
export const hashOfBank: BankHash = ({ name }, bytes) =>
  isBank(name) ? new Uint8Array(createHash(name).update(bytes).digest()) : null;

/** Pieces of what is measured. Asked for once for each event. */
type Content = () => Iterable<Uint8Array>;

/**
 * The digests of content in all banks. In a bank that cannot be computed every event is the same: all bits set. It has no
 * good value then, and nobody can make one of it later.
 */
function digestsOf(algorithms: readonly BankAlgorithm[], content: Content): BankDigest[] {
  const hashes = algorithms.map(({ name }) => (isBank(name) ? createHash(name) : null));
  for (const piece of content()) for (const hash of hashes) hash?.update(piece);
  return algorithms.map((algorithm, index) => ({ algorithm, digest: hashes[index]?.digest() ?? capOf(algorithm) }));
}

function capOf({ digestBytes }: BankAlgorithm): Uint8Array {
  return new Uint8Array(digestBytes ?? 0).fill(0xff);
}

/**
 * What is to be measured, in its order, for these banks.
 *
 * @param algorithms the TPM's active banks, and those of the firmware's log
 * @throws FormatError for an image or an add-on that cannot be read, which no verified boot has
 */
export function planMeasurements(input: MeasureInput, algorithms: readonly BankAlgorithm[]): Measurement[] {
  const text = (what: string, prefix: string, content: string): Measurement => ({
    pcr: measuredPcrs.texts,
    type: eventType.ipl,
    digests: digestsOf(algorithms, () => [utf8(content)]),
    data: utf8(`${prefix}${content}\0`),
    what,
  });
  const policy: Measurement = {
    pcr: measuredPcrs.texts,
    type: eventType.ipl,
    digests: digestsOf(algorithms, () => [input.policy]),
    data: utf8("slipway policy\0"),
    what: "policy",
  };
  return [
    policy,
    text("command line", "kernel_cmdline: ", input.commandLine),
    ...input.moduleCommandLines.map((line) => text("module's command line", "module_cmdline: ", line)),
    ...(input.part === null ? [] : [text("part of the kernel's file", "kernel_part: ", input.part)]),
    ...input.initrdMembers.map((member) => text("initrd's place in an archive", "initrd_member: ", member)),
    ...measuredRoles.flatMap((role) =>
      input.files.filter((file) => file.role === role).map((file) => measureFile(file, algorithms)),
    ),
    ...(input.image === null ? [] : planImage(input.image, algorithms)),
  ];
}

const roleNames: Readonly<Record<MeasuredRole, string>> = {
  linux: "kernel",
  initrd: "initrd",
  devicetree: "device tree",
  overlay: "overlay",
  module: "module",
  addon: "add-on",
};

function measureFile(file: MeasuredFile, algorithms: readonly BankAlgorithm[]): Measurement {
  return {
    pcr: measuredPcrs.files,
    type: eventType.ipl,
    digests: algorithms.map((algorithm) => ({
      algorithm,
      digest: isBank(algorithm.name) ? file.digest(algorithm.name) : capOf(algorithm),
    })),
    data: utf8(`${file.path}\0`),
    what: `${roleNames[file.role]} ${JSON.stringify(file.path)}`,
  };
}

/**
 * What is measured before somebody gets a shell, so that nothing opens there that is sealed to a PCR's value.
 *
 * @param algorithms as in {@link planMeasurements}
 */
export function planShellMeasurements(algorithms: readonly BankAlgorithm[]): Measurement[] {
  const content = utf8("slipway shell");
  const digests = digestsOf(algorithms, () => [content]);
  return shellPcrs.map((pcr) => ({ pcr, type: eventType.ipl, digests, data: utf8("slipway shell\0"), what: "shell" }));
}

/** Tags of systemd-stub's events (EV_EVENT_TAG), from its documentation of measurements. */
const stubTags = {
  devicetreeAddon: 0x6c46f751,
  initrdAddon: 0x49dffe0f,
  microcodeAddon: 0xdac08e1a,
  profile: 0x13aed6db,
};

/** The sections that systemd-stub measures, in its order; `.pcrsig` signs the outcome and cannot be part of it. */
const measuredSections = [
  ".linux",
  ".osrel",
  ".cmdline",
  ".initrd",
  ".ucode",
  ".splash",
  ".dtb",
  ".uname",
  ".sbat",
  ".pcrpkey",
  ".profile",
  ".dtbauto",
  ".hwids",
] as const;

interface CompanionKind extends StubDirectory {
  readonly pcr: number;
  /** What the stub calls the archive in its log. */
  readonly description: string;
}

/** In the stub's order. */
const companionKinds: readonly CompanionKind[] = [
  {
    path: ".extra/credentials",
    directoryMode: 0o500,
    mode: 0o400,
    pcr: measuredPcrs.imageParameters,
    description: "Credentials initrd",
  },
  {
    path: ".extra/global_credentials",
    directoryMode: 0o500,
    mode: 0o400,
    pcr: measuredPcrs.imageParameters,
    description: "Global credentials initrd",
  },
  {
    path: ".extra/sysext",
    directoryMode: 0o555,
    mode: 0o444,
    pcr: measuredPcrs.systemExtensions,
    description: "System extension initrd",
  },
  {
    path: ".extra/global_sysext",
    directoryMode: 0o555,
    mode: 0o444,
    pcr: measuredPcrs.systemExtensions,
    description: "Global system extension initrd",
  },
  {
    path: ".extra/confext",
    directoryMode: 0o555,
    mode: 0o444,
    pcr: measuredPcrs.imageParameters,
    description: "Configuration extension initrd",
  },
  {
    path: ".extra/global_confext",
    directoryMode: 0o555,
    mode: 0o444,
    pcr: measuredPcrs.imageParameters,
    description: "Global configuration extension initrd",
  },
];

/** As systemd-stub measures before it starts the kernel of an image. */
function planImage(image: MeasuredImage, algorithms: readonly BankAlgorithm[]): Measurement[] {
  const { imageParameters } = measuredPcrs;
  const event = (pcr: number, description: string, content: Content, what: string): Measurement => ({
    pcr,
    type: eventType.ipl,
    digests: digestsOf(algorithms, content),
    data: utf16(description),
    what,
  });
  const tagged = (tag: number, description: string, content: Content, what: string): Measurement => ({
    pcr: imageParameters,
    type: eventType.eventTag,
    digests: digestsOf(algorithms, content),
    data: taggedEventData(tag, utf16(description)),
    what,
  });
  const options = (text: string, what: string): Measurement[] =>
    text === "" ? [] : [event(imageParameters, text, () => [utf16(text)], what)];
  const addons = image.addons.map((file) => ({ file, addon: readAddon(file.read, file.size) }));
  const ofAddons = (of: "devicetree" | "initrd" | "ucode", tag: number, what: string): Measurement[] =>
    addons.flatMap(({ file, addon }) => {
      const range = addon[of];
      if (range === null) return [];
      return [tagged(tag, file.name, () => piecesOf(file.read, range), `${what} of ${JSON.stringify(file.name)}`)];
    });
  const ownNumber = String(image.profile);
  const added = joinUkiCommandLines(
    { commandLine: null },
    addons.map(({ addon }) => addon),
  );
  return [
    ...(image.profile === 0
      ? []
      : [tagged(stubTags.profile, ownNumber, () => [utf16(ownNumber)], `profile ${ownNumber}`)]),
    ...sectionsInForce(image).flatMap(([name, section]) => [
      event(measuredPcrs.image, name, () => [utf8(`${name}\0`)], `name of section ${name}`),
      event(measuredPcrs.image, name, () => contentOf(image.read, section), `section ${name}`),
    ]),
    ...options(optionsBefore(image.options ?? "", added), "options in place of the image's own"),
    ...options(added, "options of add-ons"),
    ...ofAddons("devicetree", stubTags.devicetreeAddon, "device tree"),
    ...companionKinds.flatMap((kind) => {
      const files = companionsOf(image.companions, kind);
      const content: Content = () => stubArchive(kind, files.map(openCompanion));
      return files.length === 0 ? [] : [event(kind.pcr, kind.description, content, kind.description.toLowerCase())];
    }),
    ...ofAddons("ucode", stubTags.microcodeAddon, "microcode").reverse(),
    ...ofAddons("initrd", stubTags.initrdAddon, "initrd"),
  ];
}

/** Options without those of the add-ons at their end. */
function optionsBefore(options: string, added: string): string {
  if (added === "") return options;
  if (options === added) return "";
  return options.endsWith(` ${added}`) ? options.slice(0, -added.length - 1) : options;
}

/** Sections that are measured, in their order: the profile's own in place of the base's. An empty one is none. */
function sectionsInForce(image: MeasuredImage): (readonly [name: string, section: PeSection])[] {
  const pe = readPe(image.read, image.size);
  const found = new Map<string, PeSection>();
  for (const part of [null, image.profile]) {
    const own = sectionsOf(pe, part);
    for (const { name } of own) {
      const first = own.find((section) => section.name === name);
      if (first !== undefined && name !== ".dtbauto") found.set(name, first);
    }
  }
  const board = image.boardDevicetree;
  const chosen = pe.sections.find(({ name, raw }) => name === ".dtbauto" && raw.offset === board?.offset);
  if (chosen !== undefined) found.set(".dtbauto", chosen);
  return measuredSections.flatMap((name) => {
    const section = found.get(name);
    return section === undefined || section.virtualBytes === 0 ? [] : [[name, section] as const];
  });
}

/** The sections of a profile with its marker, or (null) those before the first profile. */
function sectionsOf(pe: PeImage, profile: number | null): PeSection[] {
  let current: number | null = null;
  return pe.sections.filter(({ name }) => {
    if (name === ".profile") current = current === null ? 0 : current + 1;
    return current === profile;
  });
}

/** A section as it is in memory: what its file has less is zeroes. */
function* contentOf(read: ReadRange, { name, raw, virtualBytes }: PeSection): Generator<Uint8Array> {
  const length = Math.min(raw.length, virtualBytes);
  const padding = virtualBytes - length;
  if (padding > sectionPaddingBytesMax) {
    const place = { offset: raw.offset, field: name };
    throw new FormatError("uki", `${padding} bytes of zeroes, at most ${sectionPaddingBytesMax} are taken`, place);
  }
  yield* piecesOf(read, { offset: raw.offset, length });
  yield new Uint8Array(padding);
}

const pieceBytes = 1 << 20;

function* piecesOf(read: ReadRange, { offset, length }: ByteRange): Generator<Uint8Array> {
  for (let done = 0; done < length; ) {
    const piece = read(offset + done, Math.min(pieceBytes, length - done));
    if (piece.length === 0) throw new FormatError("uki", `${length} bytes expected, ${done} found`, { offset });
    yield piece;
    done += piece.length;
  }
}

/** Whether a place in the initrd, `/.extra/credentials/a.cred`, is one that image's companions have, which are measured with their names. */
export function isCompanionPath(path: string): boolean {
  return companionKinds.some((kind) => path.slice(0, path.lastIndexOf("/")) === `/${kind.path}`);
}

function companionsOf(companions: readonly MeasuredCompanion[], { path }: StubDirectory): MeasuredCompanion[] {
  return companions.filter((companion) => companion.path.slice(0, companion.path.lastIndexOf("/")) === `/${path}`);
}

function openCompanion(companion: MeasuredCompanion): StubFile {
  return { name: companion.path.slice(companion.path.lastIndexOf("/") + 1), bytes: companion.bytes() };
}

/** What PCRs hold after measurements, by bank and PCR: those that were measured into. */
export function predictPcrs(
  measurements: readonly NewEvent[],
  algorithms: readonly BankAlgorithm[],
  start: PcrValues = new Map(),
): PcrValues {
  const banks = new Map<string, ReadonlyMap<number, Uint8Array>>();
  for (const algorithm of algorithms.filter(({ name }) => isBank(name))) {
    const values = new Map<number, Uint8Array>();
    for (const { pcr, digests } of measurements) {
      const digest = digests.find((found) => found.algorithm.id === algorithm.id)?.digest;
      const before = values.get(pcr) ?? start.get(algorithm.name)?.get(pcr) ?? startValue(algorithm, pcr);
      const after = digest === undefined ? null : extendPcr(algorithm, before, digest, hashOfBank);
      if (after !== null) values.set(pcr, after);
    }
    banks.set(algorithm.name, values);
  }
  return banks;
}

/**
 * What is not as it should be with a TPM's banks, as sentences; none when every active bank is measured into. A policy that
 * demands measurements refuses to boot by them.
 */
export function bankProblems({
  activeBanks,
  foreignBanks,
}: Pick<ExtendedTpm, "activeBanks" | "foreignBanks">): string[] {
  const none = activeBanks.length === 0 ? ["the TPM has no active bank of SHA-1, SHA-256, SHA-384 or SHA-512"] : [];
  const foreign = foreignBanks.map(({ name, digestBytes }) =>
    digestBytes === null
      ? `the TPM's bank ${name} is not known and stays as it is`
      : `the TPM's bank ${name} cannot be computed: each event is all ones there`,
  );
  return [...none, ...foreign];
}

/** What extending needs of a TPM. */
export interface ExtendedTpm {
  readonly activeBanks: readonly Bank[];
  readonly foreignBanks: readonly BankAlgorithm[];
  extend(pcr: number, digests: readonly BankDigest[]): Promise<void>;
}

/**
 * Extends a TPM by measurements, each in all active banks, one after the other.
 *
 * @throws what the TPM throws; {@link Measurement}s before the one that failed were extended, and `done` was told of them
 */
export async function extendMeasurements(
  tpm: ExtendedTpm,
  measurements: readonly Measurement[],
  done: (measurement: Measurement) => void = () => {},
): Promise<void> {
  const foreign = tpm.foreignBanks.filter(({ digestBytes }) => digestBytes !== null);
  const active = new Set<string>([...tpm.activeBanks, ...foreign.map(({ name }) => name)]);
  for (const measurement of measurements) {
    const digests = measurement.digests.filter(({ algorithm }) => active.has(algorithm.name));
    await tpm.extend(measurement.pcr, digests);
    done(measurement);
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Little-endian, with a NUL behind: EFI's text. */
function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length + 1) * 2);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i), true);
  return bytes;
}
