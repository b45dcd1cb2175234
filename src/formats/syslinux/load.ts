import { quote } from "../format-error.ts";
import { resolveName, type SyslinuxHost } from "./host.ts";
import { type SyslinuxLimits, syslinuxCommandBytesMax } from "./limits.ts";
import type { SyslinuxFileUse, SyslinuxInitrd, SyslinuxLoad } from "./menu.ts";
import { type ByteText, firstWord, isBlank, shownText, splitWords, utf8Text } from "./text.ts";
import { unknownReason } from "./unknown-word.ts";

/** Why a command boots nothing here. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** Whether the real program would be gone then: what is to be tried next is never reached. */
  readonly leaves: boolean;

  constructor(reason: string, leaves = false) {
    super(reason);
    this.leaves = leaves;
  }
}

/** A kernel, and its options without the blanks in front. */
export interface SplitCommand {
  readonly kernel: ByteText;
  readonly options: ByteText;
}

export function splitCommand(command: ByteText): SplitCommand {
  const { word, rest } = firstWord(command);
  let at = 0;
  while (at < rest.length && isBlank(rest.charAt(at))) at++;
  return { kernel: word, options: rest.slice(at) };
}

/** Where names are looked up. */
export interface LoadPlace {
  readonly host: SyslinuxHost;
  readonly limits: SyslinuxLimits;
  readonly directory: string;
}

/**
 * A Linux kernel as the loader itself starts it (com32/elflink/ldlinux/kernel.c): `BOOT_IMAGE=` and the kernel's name in
 * front, the options behind them as they are, and the files of the first `initrd=` that stands anywhere in all that, split
 * at commas up to the next space.
 */
export function linuxLoad(place: LoadPlace, { kernel, options }: SplitCommand): SyslinuxLoad {
  checkKernelName(kernel);
  const whole = `BOOT_IMAGE=${kernel} ${options}`;
  const at = whole.indexOf("initrd=");
  const names = at < 0 ? [] : (whole.slice(at + "initrd=".length).split(" ", 1)[0] ?? "").split(",");
  return {
    ...emptyLoad(fileUse(place, kernel)),
    initrds: initrdUses(place, names),
    options: handedOver(options),
    bootImage: `BOOT_IMAGE=${handedOver(kernel)}`,
  };
}

/**
 * A Linux kernel as gfxboot.c32 starts it: its options are those of `append`, without `BOOT_IMAGE=`; an `initrd=` that
 * begins a word of them goes before `initrd`.
 */
export function gfxbootLoad(
  place: LoadPlace,
  kernel: ByteText,
  append: ByteText | null,
  initrd: ByteText | null,
): SyslinuxLoad {
  checkKernelName(kernel);
  const named = splitWords(append ?? "").find((word) => word.startsWith("initrd="));
  const names = named?.slice("initrd=".length) ?? initrd;
  return {
    ...emptyLoad(fileUse(place, kernel)),
    initrds: names === null ? [] : initrdUses(place, names.split(",")),
    options: handedOver(append ?? ""),
  };
}

/**
 * linux.c32 (com32/modules/linux.c): words joined by single spaces; the last `initrd=`, then every `initrd+=`, then every
 * `initrdfile=FILE[@PATH]`, which becomes a file of an archive; the last `dtb=`.
 */
export function linuxModuleLoad(place: LoadPlace, words: readonly ByteText[]): SyslinuxLoad {
  let at = 0;
  for (; words[at]?.startsWith("-"); at++) {
    if (words[at] !== "-dhcpinfo") throw new Refusal(`linux.c32: unknown option ${quote(shownText(words[at] ?? ""))}`);
    if (place.host.variant === "pxelinux") {
      throw new Refusal("linux.c32 -dhcpinfo: the answer of the DHCP server is not kept as a file");
    }
  }
  const [kernel, ...rest] = words.slice(at);
  if (kernel === undefined) throw new Refusal("linux.c32: a kernel expected");
  checkKernelName(kernel);
  const values = (prefix: string): ByteText[] =>
    rest.filter((word) => word.startsWith(prefix)).map((word) => word.slice(prefix.length));
  const [blob] = values("blob.");
  if (blob !== undefined) throw new Refusal(`linux.c32 ${quote(shownText(`blob.${blob}`))}: setup data is not made`);
  const trees = values("dtb=");
  if (trees.length > 1) throw new Refusal("linux.c32: several device trees, one at most can be handed over");
  const plain = [values("initrd=").at(-1), ...values("initrd+=")].filter((value) => value !== undefined);
  const wrapped = values("initrdfile=").flatMap((value) => value.split(","));
  const [tree] = trees;
  return {
    ...emptyLoad(fileUse(place, kernel)),
    initrds: [
      ...initrdUses(
        place,
        plain.flatMap((value) => value.split(",")),
      ),
      ...wrapped.map((name) => wrappedFile(place, name)),
    ],
    options: handedOver(rest.join(" ")),
    bootImage: `BOOT_IMAGE=${handedOver(kernel)}`,
    devicetree: tree === undefined ? null : fileUse(place, tree),
  };
}

function wrappedFile(place: LoadPlace, name: ByteText): SyslinuxInitrd {
  const at = name.indexOf("@");
  const source = at < 0 ? name : name.slice(0, at);
  const target = at < 0 ? name.slice(name.lastIndexOf("/") + 1) : name.slice(at + 1);
  const path = `/${handedOver(target).replace(/^\/+/, "")}`;
  if (path === "/" || path.split("/").some((part) => part === "..")) {
    throw new Refusal(`initrdfile ${quote(shownText(name))}: a path inside the archive expected`);
  }
  const member = { path, mode: 0o755, withDirectories: at >= 0 && target.includes("/") };
  return { ...fileUse(place, source), member };
}

/**
 * A multiboot kernel with its modules, `---` between them (com32/mboot/mboot.c); each string begins with the file's name.
 */
export function multibootLoad(place: LoadPlace, words: readonly ByteText[]): SyslinuxLoad {
  let at = 0;
  // Solaris' DHCP data is added for network boots only.
  while (words[at] === "-solaris" || words[at] === "-nosolaris" || words[at] === "-noaout") at++;
  if (words[at] === "-aout") throw new Refusal("mboot.c32 -aout: an ELF file by its a.out header is not loaded");
  const groups: ByteText[][] = [[]];
  for (const word of words.slice(at)) {
    if (word === "---") groups.push([]);
    else groups.at(-1)?.push(word);
  }
  const [first, ...modules] = groups;
  const [kernel, ...options] = first ?? [];
  if (kernel === undefined) throw new Refusal("mboot.c32: a multiboot kernel expected");
  if (modules.length > place.limits.filesMax) {
    throw new Refusal(`${modules.length} modules, at most ${place.limits.filesMax} are taken`);
  }
  return {
    ...emptyLoad(fileUse(place, kernel)),
    modules: modules.map((group) => {
      const [name] = group;
      if (name === undefined) throw new Refusal('mboot.c32: a module expected behind "---"');
      return { file: fileUse(place, name), options: handedOver(group.join(" ")) };
    }),
    options: handedOver(options.join(" ")),
    bootImage: handedOver(kernel),
  };
}

/** Programs of the Linux protocol that work by the BIOS. */
function checkKernelName(kernel: ByteText): void {
  const name = kernel.slice(kernel.lastIndexOf("/") + 1).toLowerCase();
  if (name === "memdisk") throw new Refusal(`${quote(shownText(kernel))} starts a disk's image by the BIOS`, true);
}

function initrdUses(place: LoadPlace, names: readonly ByteText[]): SyslinuxInitrd[] {
  const { filesMax } = place.limits;
  if (names.length > filesMax) throw new Refusal(`${names.length} initrds, at most ${filesMax} are taken`);
  return names.map((name) => {
    if (name === "") throw new Refusal("initrd=: a file's name is empty");
    return { ...fileUse(place, name), member: null };
  });
}

export function fileUse(place: LoadPlace, name: ByteText): SyslinuxFileUse {
  if (name === "") throw new Refusal("a file's name is empty");
  const written = handedOver(name);
  return { written, location: resolveName(place.host, place.directory, written) };
}

export function emptyLoad(kernel: SyslinuxFileUse): SyslinuxLoad {
  return {
    kernel,
    part: null,
    initrds: [],
    modules: [],
    options: "",
    bootImage: null,
    devicetree: null,
    devicetreeNames: [],
    overlays: [],
  };
}

/** Text that the kernel or the volume gets. */
export function handedOver(text: ByteText): string {
  const unknown = unknownReason(text);
  if (unknown !== null) throw new Refusal(unknown);
  const decoded = utf8Text(text);
  if (decoded === null) throw new Refusal(`${quote(shownText(text))}: text in UTF-8 expected`);
  return decoded;
}

export function checkCommandLength(command: ByteText): void {
  if (command.length > syslinuxCommandBytesMax) {
    throw new Refusal(`${command.length} bytes of kernel and options, at most ${syslinuxCommandBytesMax} are taken`);
  }
}
