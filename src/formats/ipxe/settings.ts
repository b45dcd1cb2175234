import { quote } from "../format-error.ts";
import { type Failure, failure, type Status } from "./failure.ts";
import type { IpxeLimits } from "./limits.ts";
import { parseUnsigned } from "./number.ts";
import { predefinedSettings, type SettingScope } from "./predefined-settings.ts";
import { printedValue, type SettingType, settingType, stringType } from "./setting-types.ts";
import { unknownIn, unknownValue } from "./unknown-value.ts";

/** A setting as a name means it: what it is called, and what is known of it. */
export interface NamedSetting {
  readonly name: string;
  /** DHCP option or another number; 0: none. */
  readonly tag: number;
  readonly scope: SettingScope;
  /** Null: that of the value that is found. */
  readonly type: SettingType | null;
}

/** A value in a block. */
export interface StoredSetting {
  readonly name: string;
  readonly tag: number;
  readonly scope: SettingScope;
  readonly type: SettingType;
  /** Byte text. */
  readonly raw: string;
}

/** What a block without values of its own answers to: SMBIOS fields, for one. */
export interface SettingSource {
  readonly scope: SettingScope;
  find(setting: NamedSetting): { readonly raw: string; readonly type: SettingType } | null;
}

/** A place for settings: the root, `net0`, `net0.dhcp`, `smbios`. */
export interface SettingsBlock {
  readonly name: string;
  readonly parent: SettingsBlock | null;
  /** In the order in which they are searched. */
  readonly children: SettingsBlock[];
  readonly values: StoredSetting[];
  /** Null: the values are all there is, and they may be changed. */
  readonly source: SettingSource | null;
}

/** A name that was looked up: `[BLOCK/]NAME[:TYPE]`. */
export interface FoundSetting {
  readonly block: SettingsBlock;
  readonly setting: NamedSetting;
}

export interface FetchedSetting {
  readonly origin: SettingsBlock;
  readonly raw: string;
  readonly setting: NamedSetting & { readonly type: SettingType };
}

/** `setting_cmp`: the same number in the same scope, or the same name. */
function isSame(a: Omit<NamedSetting, "type">, b: Omit<NamedSetting, "type">): boolean {
  if (a.tag !== 0 && a.tag === b.tag && a.scope === b.scope) return true;
  return a.name !== "" && a.name === b.name;
}

/** A number for a setting: parts of a byte each with dots between them; 0 where the name is none. */
function tagOf(name: string): number {
  let tag = 0;
  let left = name;
  for (;;) {
    const { value, rest } = parseUnsigned(left, 0);
    tag = ((tag << 8) | Number(BigInt.asUintN(32, value))) >>> 0;
    if (rest === "") return tag;
    if (!rest.startsWith(".")) return 0;
    left = rest.slice(1);
  }
}

/** The tree of settings (core/settings.c). */
export class IpxeSettings {
  readonly root: SettingsBlock = { name: "", parent: null, children: [], values: [], source: null };
  readonly #limits: IpxeLimits;
  readonly #newestInterface: () => string | null;
  readonly #isUnknown: (name: string) => boolean;
  #stored = 0;
  #bytes = 0;
  #blocks = 0;

  /**
   * @param newestInterface what `netX` is, the network interface opened last
   * @param isUnknown whether a setting without a value has one on the machine
   */
  constructor(limits: IpxeLimits, newestInterface: () => string | null, isUnknown: (name: string) => boolean) {
    this.#limits = limits;
    this.#isUnknown = isUnknown;
    this.#newestInterface = newestInterface;
  }

  /** How many settings are stored: all may be looked at for one. */
  get size(): number {
    return this.#stored;
  }

  /** A block that the machine has; its parents are made where they are missing. */
  add(name: string, source: SettingSource | null): SettingsBlock {
    const parts = name.split(".");
    let block = this.root;
    for (const [index, part] of parts.entries()) {
      const known = block.children.find((child) => child.name === part);
      block = known ?? this.#child(block, part, index === parts.length - 1 ? source : null);
    }
    return block;
  }

  /**
   * What a name means. A failure where it names a block that is not there, unless blocks are to be made, or a type that there
   * is not.
   */
  parse(name: string, makesBlocks: boolean): FoundSetting | Failure {
    const slash = name.indexOf("/");
    const text = slash === -1 ? name : name.slice(slash + 1);
    const colon = text.indexOf(":");
    const own = colon === -1 ? text : text.slice(0, colon);
    const block = slash === -1 ? this.root : this.#block(name.slice(0, slash), makesBlocks);
    if (block === null) return failure("noDevice", `no such settings block: ${quote(name.slice(0, slash))}`);
    if (block === "limit") return failure("noDevice", `more than ${this.#limits.blocksMax} settings blocks`);
    const named = { name: own, tag: tagOf(own), scope: block.source?.scope ?? null };
    const known = predefinedSettings.find((each) => isSame(each, named));
    let type = known === undefined ? null : settingType(known.type);
    if (colon !== -1) {
      type = settingType(text.slice(colon + 1));
      if (type === null) return failure("notSupported", `no such type of setting: ${quote(text.slice(colon + 1))}`);
    }
    const { name: finalName, tag, scope } = known ?? named;
    return { block, setting: { name: finalName, tag, scope, type } };
  }

  #block(name: string, makes: boolean): SettingsBlock | "limit" | null {
    let block = this.root;
    for (const [index, part] of name.split(".").entries()) {
      if (part === "") continue;
      const actual = index === 0 && part === "netX" ? (this.#newestInterface() ?? part) : part;
      const child = block.children.find((each) => each.name === actual);
      if (child !== undefined) block = child;
      else if (!makes) return null;
      else if (++this.#blocks > this.#limits.blocksMax) return "limit";
      else block = this.#child(block, actual, null);
    }
    return block;
  }

  #child(parent: SettingsBlock, name: string, source: SettingSource | null): SettingsBlock {
    const child: SettingsBlock = { name, parent, children: [], values: [], source };
    parent.children.push(child);
    this.#place(child);
    return child;
  }

  /** Puts a block, and those that it is in, behind all others of no lower priority. */
  #place(block: SettingsBlock): void {
    const siblings = block.parent?.children;
    if (siblings === undefined || block.parent === null) return;
    siblings.splice(siblings.indexOf(block), 1);
    const own = this.#priority(block);
    const at = siblings.findIndex((other) => own > this.#priority(other));
    siblings.splice(at === -1 ? siblings.length : at, 0, block);
    this.#place(block.parent);
  }

  #priority(block: SettingsBlock): number {
    const found = this.parse("priority", false);
    if (!("setting" in found)) return 0;
    const fetched = this.fetch({ ...found, block });
    return Number(BigInt.asIntN(64, fetched?.setting.type.toNumber(fetched.raw) ?? 0n));
  }

  /** The value in the block, or else in the first of those below it that has one. */
  fetch({ block, setting }: FoundSetting): FetchedSetting | null {
    const found = findIn(block, setting);
    if (found !== null)
      return { origin: block, raw: found.raw, setting: { ...setting, type: setting.type ?? found.type } };
    for (const child of block.children) {
      const fetched = this.fetch({ block: child, setting });
      if (fetched !== null) return fetched;
    }
    return null;
  }

  /** The text of a setting; null where it has none or it cannot be written as its type. What is not known is a mark. */
  text(found: FoundSetting): string | null {
    const fetched = this.fetch(found);
    if (fetched === null) return null;
    const unknown = unknownIn(fetched.raw);
    if (unknown === null) return printedValue(fetched.setting.type, fetched.raw);
    return unknown === "" ? unknownValue(blockPrefix(found.block) + found.setting.name) : fetched.raw;
  }

  /** An expansion's value: empty where there is none, whatever is wrong with the name; a mark where it is not known. */
  expanded(name: string): string {
    const unknown = unknownIn(name);
    if (unknown !== null) return unknownValue(unknown);
    const found = this.parse(name, false);
    const text = "setting" in found ? this.text(found) : null;
    if (text !== null) return text;
    const own = /^(?:[^/]*\/)?[^:]*/.exec(name)?.[0] ?? name;
    return this.#isUnknown(own) ? unknownValue(own) : "";
  }

  /** Stores text as a setting's type has it; empty text deletes the setting. */
  storeText(found: FoundSetting, text: string): Status {
    if (text === "") return this.store(found, null);
    if (unknownIn(text) !== null) return this.store(found, text);
    const raw = (found.setting.type ?? stringType).parse(text);
    if (raw === null) {
      const type = found.setting.type ?? stringType;
      return failure("invalid", `store ${quote(found.setting.name)}: ${quote(text)} is no ${type.name}`);
    }
    return this.store(found, raw);
  }

  /** @param raw null or empty: the setting is deleted */
  store({ block, setting }: FoundSetting, raw: string | null): Status {
    const { valueBytesMax, allValuesBytesMax, settingsMax } = this.#limits;
    if (block.source !== null) return failure("notSupported", `store ${quote(setting.name)}: the machine has it`);
    const old = block.values.findIndex((each) => isSame(each, setting));
    if (raw !== null && raw.length > valueBytesMax) {
      return failure(
        "noEntry",
        `store ${quote(setting.name)}: ${raw.length} bytes, at most ${valueBytesMax} are taken`,
      );
    }
    if (old !== -1) {
      this.#bytes -= block.values[old]?.raw.length ?? 0;
      this.#stored--;
      block.values.splice(old, 1);
    }
    if (raw !== null && raw !== "") {
      if (this.#stored >= settingsMax || this.#bytes + raw.length > allValuesBytesMax) {
        return failure("noEntry", `store ${quote(setting.name)}: more settings than are kept`);
      }
      this.#stored++;
      this.#bytes += raw.length;
      block.values.unshift({ ...setting, type: setting.type ?? stringType, raw });
    }
    if (setting.name === "priority") this.#place(block);
    return null;
  }

  /** `net0.dhcp/filename:string`, as `show` writes it. */
  fullName({ origin, setting }: FetchedSetting): string {
    return `${blockPrefix(origin)}${setting.name}:${setting.type.name}`;
  }
}

/** `net0.dhcp/`; nothing for the root. */
function blockPrefix(last: SettingsBlock): string {
  const parts: string[] = [];
  for (let block: SettingsBlock | null = last; block !== null && block.parent !== null; block = block.parent) {
    parts.unshift(block.name);
  }
  return `${parts.join(".")}${parts.length > 0 ? "/" : ""}`;
}

function findIn(
  { source, values }: SettingsBlock,
  setting: NamedSetting,
): { readonly raw: string; readonly type: SettingType } | null {
  if (source !== null) return source.scope === setting.scope ? source.find(setting) : null;
  return values.find((each) => isSame(each, setting)) ?? null;
}
