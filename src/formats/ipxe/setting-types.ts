import { beforeNul, splitWords } from "./byte-text.ts";
import { digitValue, parseUnsigned } from "./number.ts";

/**
 * How a setting's bytes are written and read (core/settings.c). Values are byte text. A function gives null where iPXE's
 * fails: the value does not fit the type.
 */
export interface SettingType {
  readonly name: string;
  parse(text: string): string | null;
  format(raw: string): string | null;
  /** The value as a number, modulo 2^64. */
  toNumber(raw: string): bigint | null;
  ofNumber(value: bigint): string | null;
}

const no = (): null => null;

function type(name: string, own: Partial<SettingType>): SettingType {
  return { name, parse: no, format: no, toNumber: no, ofNumber: no, ...own };
}

/** Bits of a C `long` in the iPXE that is meant: values of more bytes have no number. */
const longBytes = 8;

/** The bytes as a big-endian number; null where it needs more than 64 bits (`numeric_setting_value`). */
function numberOf(raw: string, isSigned: boolean, bytesMax = longBytes): bigint | null {
  const isNegative = isSigned && (raw.charCodeAt(0) & 0x80) !== 0;
  const pad = isNegative ? 0xff : 0;
  let value = isNegative ? -1n : 0n;
  for (let at = 0; at < raw.length; at++) {
    const byte = raw.charCodeAt(at);
    if (at + bytesMax < raw.length && byte !== pad) return null;
    value = BigInt.asUintN(64, (value << 8n) | BigInt(byte));
  }
  return value;
}

function integer(bytes: number, isSigned: boolean): SettingType {
  const ofNumber = (value: bigint): string => {
    let raw = "";
    for (let shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
      raw += String.fromCharCode(Number((value >> BigInt(shift)) & 0xffn));
    }
    return raw;
  };
  return type(`${isSigned ? "" : "u"}int${bytes * 8}`, {
    parse: (text) => {
      const { value, rest } = parseUnsigned(text, 0);
      return rest === "" ? ofNumber(value) : null;
    },
    format: (raw) => {
      const value = numberOf(raw, isSigned);
      if (value === null) return null;
      return isSigned ? String(BigInt.asIntN(64, value)) : `0x${value.toString(16)}`;
    },
    toNumber: (raw) => numberOf(raw, isSigned),
    ofNumber,
  });
}

function twoDigits(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function hexOf(raw: string, separator: string): string {
  return Array.from(raw, (character) => twoDigits(character.charCodeAt(0))).join(separator);
}

/** `hex_decode` of core/base16.c: two digits for each byte, the separator between them. */
function hex(name: string, separator: string): SettingType {
  return type(name, {
    format: (raw) => hexOf(raw, separator),
    parse: (text) => {
      const bytes: string[] = [];
      for (let at = 0; at < text.length; at += 2) {
        if (at > 0 && separator !== "") {
          if (text[at] !== separator) return null;
          at++;
        }
        const [sixteens, units] = [digitValue(text[at]), digitValue(text[at + 1])];
        if (sixteens >= 16 || units >= 16) return null;
        bytes.push(String.fromCharCode(sixteens * 16 + units));
      }
      return bytes.join("");
    },
  });
}

/** RFC 3986, section 2.1, with the characters that iPXE escapes in a part of no special kind (core/uri.c). */
export function uriEscaped(raw: string): string {
  return raw.replace(/[^\x21-\x7e]|[%/#:@?=&]/g, (character) => `%${twoDigits(character.charCodeAt(0)).toUpperCase()}`);
}

/** `uri_decode`: a `%` without hexadecimal digits is itself, with one digit that digit. */
export function uriUnescaped(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{1,2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const base64 = type("base64", {
  format: (raw) => btoa(raw),
  parse: (text) => {
    const digits = text.replace(/[ \t\n\v\f\r]+/g, "");
    const padding = digits.indexOf("=");
    const body = padding === -1 ? digits : digits.slice(0, padding);
    if ((padding === -1 ? "" : digits.slice(padding)).replaceAll("=", "") !== "") return null;
    if (Array.from(body).some((digit) => !base64Alphabet.includes(digit))) return null;
    const isWhole = digits.length % 4 === 0 && digits.length - body.length <= 2;
    return isWhole ? atob(digits) : null;
  },
});

const ipv4 = type("ipv4", {
  format: (raw) => (raw.length < 4 ? null : Array.from(raw.slice(0, 4), (byte) => byte.charCodeAt(0)).join(".")),
  parse: (text) => {
    const parts = text.split(".");
    if (parts.length !== 4) return null;
    const bytes = parts.map((part) => parseUnsigned(part, 0));
    if (bytes.some(({ value, rest }, index) => parts[index] === "" || rest !== "" || value > 255n)) return null;
    return bytes.map(({ value }) => String.fromCharCode(Number(value))).join("");
  },
});

const ipv6 = type("ipv6", { format: formatIpv6, parse: parseIpv6 });

/** RFC 5952: the longest run of zero groups is `::`. */
function formatIpv6(raw: string): string | null {
  if (raw.length < 16) return null;
  const groups = Array.from({ length: 8 }, (_, at) => (raw.charCodeAt(2 * at) << 8) | raw.charCodeAt(2 * at + 1));
  const text = groups.map((group) => group.toString(16)).join(":");
  const runs = text.match(/(?:^|(?<=:))0(?::0)+(?=:|$)/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  if (longest === "") return text;
  const at = text.search(new RegExp(`(?:^|(?<=:))${longest}(?=:|$)`));
  const before = text.slice(0, at).replace(/:$/, "");
  return `${before}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}

function parseIpv6(text: string): string | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const lists = halves.map((half) => (half === "" ? [] : half.split(":")));
  const [front = [], back = []] = lists;
  const missing = 8 - front.length - back.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...front, ...(halves.length === 1 ? [] : Array<string>(missing).fill("0")), ...back];
  if (groups.some((group) => !/^[0-9A-Fa-f]{1,4}$/.test(group))) return null;
  return groups
    .map((group) => Number.parseInt(group, 16))
    .map((group) => String.fromCharCode(group >> 8, group & 0xff))
    .join("");
}

function uuidText(raw: string): string | null {
  if (raw.length !== 16) return null;
  return hexOf(raw, "").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The first three parts of a GUID have their bytes the other way round (UEFI Specification, appendix A). */
function guidText(raw: string): string | null {
  const turned = (start: number, end: number): string => Array.from(raw.slice(start, end)).reverse().join("");
  return raw.length === 16 ? uuidText(turned(0, 4) + turned(4, 6) + turned(6, 8) + raw.slice(8)) : null;
}

function busDevFn(raw: string): string | null {
  const value = numberOf(raw, false);
  if (value === null) return null;
  const part = (shift: bigint, mask: bigint, digits: number): string =>
    ((value >> shift) & mask).toString(16).padStart(digits, "0");
  return `${part(16n, 0xffffffffffffn, 4)}:${part(8n, 0xffn, 2)}:${part(3n, 0x1fn, 2)}.${part(0n, 7n, 1)}`;
}

/** A list of domain names as DNS writes them (RFC 1035, section 3.1); here white space stands between names. */
const domainList = type("dnssl", {
  parse: (text) => {
    const encoded = splitWords(text.replaceAll(",", " ")).map((name) => {
      const labels = name.split(".").filter((label) => label !== "");
      if (labels.some((label) => label.length > 63)) return null;
      return `${labels.map((label) => String.fromCharCode(label.length) + label).join("")}\0`;
    });
    return encoded.includes(null) ? null : encoded.join("");
  },
  format: (raw) => {
    const names: string[] = [];
    let labels: string[] = [];
    for (let at = 0; at < raw.length; ) {
      const length = raw.charCodeAt(at);
      if (length > 63 || at + 1 + length > raw.length) return null;
      if (length === 0) {
        names.push(labels.join("."));
        labels = [];
      } else labels.push(raw.slice(at + 1, at + 1 + length));
      at += 1 + length;
    }
    return [...names, ...(labels.length > 0 ? [labels.join(".")] : [])].join(" ");
  },
});

/** All types, by name. `uristring` escapes, as iPXE did until 2020; since then it is another name for `string`. */
const types: readonly SettingType[] = [
  type("string", { parse: (text) => text, format: (raw) => raw }),
  type("uristring", { parse: uriUnescaped, format: uriEscaped }),
  ...[1, 2, 4].flatMap((bytes) => [integer(bytes, true), integer(bytes, false)]),
  hex("hex", ":"),
  hex("hexhyp", "-"),
  hex("hexraw", ""),
  base64,
  ipv4,
  ipv6,
  type("uuid", { format: uuidText }),
  type("guid", { format: guidText }),
  type("busdevfn", { format: busDevFn }),
  domainList,
];

const byName = new Map(types.map((each) => [each.name, each]));

export function settingType(name: string): SettingType | null {
  return byName.get(name) ?? null;
}

export const stringType: SettingType = byName.get("string") ?? type("string", {});

/** A formatted value as expansion and `show` print it: C strings end at a NUL. */
export function printedValue(setting: SettingType, raw: string): string | null {
  const text = setting.format(raw);
  return text === null ? null : beforeNul(text);
}
