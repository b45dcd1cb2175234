import type { SourceLine } from "./ast.ts";

/** A piece of a GRUB Legacy configuration in GRUB's own language. */
export type LegacyPiece =
  /** Runs when the configuration is read, or, at the end, when all of it has been. */
  | { readonly kind: "commands"; readonly line: SourceLine }
  | {
      readonly kind: "entry";
      readonly title: string;
      /** Where its title stands. */
      readonly number: number;
      readonly lines: readonly SourceLine[];
      /** GRUB asks the user `legacy` for a password, if there is one, before all entries but the last. */
      readonly restricted: boolean;
    };

/**
 * Translates a GRUB Legacy configuration (`menu.lst`) as GRUB does (grub-core/lib/legacy_parse.c and
 * commands/legacycfg.c): commands before the first `title` run at once, the others are those of entries; what is put off to the end comes
 * last. What GRUB does not know there is left out. Partitions of devices, which Legacy counts from 0, count from 1.
 */
export function translateLegacyConfig(text: string): LegacyPiece[] {
  const pieces: LegacyPiece[] = [];
  const last: SourceLine[] = [];
  let entry: { title: string; number: number; lines: SourceLine[] } | null = null;
  const finish = (restricted: boolean): void => {
    if (entry !== null) pieces.push({ kind: "entry", ...entry, restricted });
  };
  for (const [index, raw] of text.replaceAll("\r", "").split("\n").entries()) {
    const number = index + 1;
    const { name, rest } = splitLine(raw);
    if (name === "title") {
      finish(true);
      entry = { title: rest.trimEnd(), number, lines: [] };
      continue;
    }
    const translated = translateLine(name, rest, entry !== null);
    if (translated === null) continue;
    if (translated.atEnd !== undefined) last.push({ number, text: translated.atEnd });
    if (translated.now === undefined) continue;
    const lines = translated.now.split("\n").map((each): SourceLine => ({ number, text: each }));
    for (const line of lines) {
      if (entry === null) pieces.push({ kind: "commands", line });
      else entry.lines.push(line);
    }
  }
  finish(false);
  return [...pieces, ...last.map((line): LegacyPiece => ({ kind: "commands", line }))];
}

/** The command, which ends at white space or `=`, and its arguments. */
function splitLine(raw: string): { readonly name: string; readonly rest: string } {
  const text = raw.replace(/^\s+/, "");
  if (text.startsWith("#")) return { name: "", rest: "" };
  const end = text.search(/[\s=]/);
  if (end < 0) return { name: text, rest: "" };
  return { name: text.slice(0, end), rest: text.slice(end).replace(/^[\s=]+/, "") };
}

interface Translation {
  readonly now?: string;
  readonly atEnd?: string;
}

/** Null where GRUB has no counterpart. */
function translateLine(name: string, rest: string, inEntry: boolean): Translation | null {
  const take = new Arguments(rest);
  switch (name) {
    case "":
      return null;
    case "password":
      return inEntry ? passwordInEntry(take) : passwordOfMenu(take);
    case "hiddenmenu":
      return { atEnd: "if sleep -i $timeout; then timeout=0; else timeout=-1; fi" };
    case "color": {
      const [normal, highlight] = [take.word(), take.word()];
      if (highlight !== null)
        return { now: `set color_normal=${quoted(normal ?? "")}; set color_highlight=${quoted(highlight)}` };
      const slash = normal?.indexOf("/") ?? -1;
      if (normal === null || slash < 0) return null;
      const inverted = `${normal.slice(slash + 1)}/${normal.slice(0, slash)}`;
      return { now: `set color_normal=${quoted(normal)}; set color_highlight=${quoted(inverted)}` };
    }
    case "terminal":
      return { now: terminal(rest) };
    default: {
      const translate = commands.get(name);
      return translate === undefined ? null : { now: translate(take) };
    }
  }
}

/** The arguments of a line, taken one after another. */
class Arguments {
  #rest: string;

  constructor(text: string) {
    this.#rest = text;
  }

  /** The next word; null where there is none. */
  word(): string | null {
    const match = /^\s*(\S+)\s?/.exec(this.#rest);
    if (match === null) return null;
    this.#rest = this.#rest.slice(match[0].length);
    return match[1] ?? null;
  }

  /** An option, where it is the next word. */
  option(...known: readonly string[]): string {
    const match = /^\s*(\S+)/.exec(this.#rest);
    return match !== null && known.includes(match[1] ?? "") ? (this.word() ?? "") : "";
  }

  /** `--…`, where it is the next word. */
  anyOption(): string {
    return /^\s*--\S*/.test(this.#rest) ? (this.word() ?? "") : "";
  }

  /** All that is left, without white space around. */
  all(): string {
    return this.#rest.trim();
  }

  /** The word that comes next, and after it everything again, each word in quotes. */
  fileAndRest(): string {
    const words = this.#rest.split(/\s+/).filter((word) => word !== "");
    return [quoted(withPartition(words[0] ?? "")), ...words.map(quoted)].join(" ");
  }

  words(): string {
    return this.#rest
      .split(/\s+/)
      .filter((word) => word !== "")
      .map(quoted)
      .join(" ");
  }

  /** The start of the text that is a number. */
  number(): string {
    const text = this.all();
    return /^(?:0x[0-9a-fA-F]+|0[0-7]*|[0-9]+)/.exec(text)?.[0] ?? "0";
  }
}

/** A text as one word of GRUB's language. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Partitions and BSD's letters counted from 1; `(nd)` is the server that GRUB was loaded from. */
function withPartition(file: string): string {
  if (file.startsWith("(nd)")) return `(tftp)${file.slice(4)}`;
  const match = /^(\([^),]*,)([0-9]+)(?:,([a-z]))?/.exec(file);
  if (match === null) return file;
  const sub = match[3] === undefined ? "" : `,${match[3].charCodeAt(0) - 96}`;
  return `${match[1]}${Number(match[2]) + 1}${sub}${file.slice(match[0].length)}`;
}

const kernelOptions = [
  ...["netbsd", "freebsd", "openbsd", "linux", "biglinux", "multiboot"].map((type) => `--type=${type}`),
  "--no-mem-option",
];

function root(take: Arguments): string {
  const device = take.word();
  if (device === null) return 'echo "$root"';
  return `set root=${quoted(withPartition(device))}; set legacy_hdbias=${quoted(take.number())}`;
}

function file(command: string): (take: Arguments) => string {
  return (take) => `${command} ${quoted(withPartition(take.all()))}`;
}

const commands: ReadonlyMap<string, (take: Arguments) => string> = new Map<string, (take: Arguments) => string>([
  ["blocklist", file("blocklist")],
  ["boot", () => "boot"],
  ["bootp", () => "net_bootp"],
  ["cat", file("cat")],
  ["chainloader", (take) => `chainloader ${take.option("--force")} ${quoted(withPartition(take.all()))}`],
  ["clear", () => "clear"],
  ["cmp", (take) => `cmp ${[take.word(), take.word()].map((each) => quoted(withPartition(each ?? ""))).join(" ")}`],
  ["configfile", file("legacy_configfile")],
  ["debug", () => 'if [ -z "$debug" ]; then set debug=all; else set debug=; fi'],
  [
    "default",
    (take) =>
      `set default=${quoted(take.all())}; if [ x"$default" = xsaved ]; then load_env; set default="$saved_entry"; fi`,
  ],
  ["dhcp", () => "net_bootp"],
  ["displayapm", () => "lsapm"],
  ["displaymem", () => "lsmmap"],
  ["fallback", (take) => `set fallback=${quoted(take.all())}`],
  ["find", file("search -f")],
  ["geometry", (take) => `ls -l (${quoted(take.all())}*)`],
  ["halt", (take) => `halt ${take.option("--no-apm")}`],
  ["hide", (take) => `parttool ${quoted(withPartition(take.all()))} hidden+`],
  ["initrd", (take) => `legacy_initrd ${take.fileAndRest()}`],
  [
    "kernel",
    (take) => `legacy_kernel ${take.option(...kernelOptions)} ${take.option(...kernelOptions)} ${take.fileAndRest()}`,
  ],
  ["lock", () => "if ! authenticate legacy; then return; fi"],
  ["makeactive", () => 'parttool "$root" boot+'],
  [
    "map",
    (take) => `drivemap ${[take.word(), take.word()].map((each) => quoted(withPartition(each ?? ""))).join(" ")}`,
  ],
  ["module", (take) => `legacy_initrd ${take.fileAndRest()}`],
  ["modulenounzip", (take) => `legacy_initrd_nounzip ${take.fileAndRest()}`],
  ["pager", (take) => `set pager=${take.all() === "on" ? "1" : "0"}`],
  ["parttype", (take) => `parttool ${quoted(withPartition(take.word() ?? ""))} type=${take.number()}`],
  ["pause", (take) => `echo ${take.words()}; if ! sleep -i 60; then return; fi`],
  ["print", (take) => `echo ${take.words()}`],
  ["read", (take) => `read_dword ${take.number()}`],
  ["reboot", () => "reboot"],
  ["root", root],
  ["rootnoverify", root],
  ["savedefault", () => "saved_entry=$chosen; save_env saved_entry"],
  ["serial", (take) => `serial ${take.words()}`],
  ["testload", file("testload")],
  ["testvbe", () => "videotest"],
  ["timeout", (take) => `set timeout=${take.number()}`],
  ["unhide", (take) => `parttool ${quoted(withPartition(take.all()))} hidden-`],
  ["uuid", (take) => `search --set=root --fs-uuid ${quoted(take.all())}`],
  ["vbeprobe", () => "videoinfo"],
]);

/** GRUB's own text has no quotes around the empty word, so the test is of two words and fails. */
const superusers = 'if [ "$superusers" =  ]; then superusers=legacy; fi;';

function passwordOfMenu(take: Arguments): Translation {
  const [option, word, path] = [take.anyOption(), take.word() ?? "", take.word()];
  if (path === null) return { now: `${superusers}\nlegacy_password ${option} ${quoted(word)}` };
  // GRUB puts the menu for the superuser off to the end and forgets the password itself.
  return { atEnd: `menuentry "Superuser menu" --users "legacy" { configfile ${quoted(withPartition(path))}; }` };
}

function passwordInEntry(take: Arguments): Translation {
  const [option, word, path] = [take.anyOption(), take.word() ?? "", take.word()];
  const check = `legacy_check_password ${option} ${quoted(word)}`;
  const now =
    path === null ? `if ! ${check}; then return; fi` : `if ${check}; then configfile ${quoted(path)}; else return; fi`;
  return { now };
}

/** Screens are the kernel's here; the names are told as GRUB would be. */
function terminal(rest: string): string {
  const has = (name: string): boolean => rest.split(/\s+/).some((word) => word.startsWith(name));
  const names = ["serial", "console"].filter(has);
  return `terminal_input ${names.join(" ")}; terminal_output ${names.join(" ")}`;
}
