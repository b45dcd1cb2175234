import console from "../../initramfs/modules/console.list";
import crypto from "../../initramfs/modules/crypto.list";
import efi from "../../initramfs/modules/efi.list";
import filesystems from "../../initramfs/modules/filesystems.list";
import platform from "../../initramfs/modules/platform.list";
import storage from "../../initramfs/modules/storage.list";
import { FormatError, quote } from "../formats/format-error.ts";
import { numberedLines } from "../formats/lines.ts";

/** Kernel modules that an image holds for one purpose. */
export interface ModuleList {
  readonly purpose: string;
  /** Names or aliases, in file order. */
  readonly words: readonly string[];
}

/** One name or alias a line; `#` begins a comment. Throws {@link FormatError} with the line. */
export function parseModuleList(purpose: string, text: string): ModuleList {
  const format = `${purpose}.list`;
  const words: string[] = [];
  for (const line of numberedLines(text, format)) {
    const word = line.text.replace(/#.*/, "").trim();
    if (/\s/.test(word)) throw new FormatError(format, `${quote(word)}: one name expected`, { line: line.number });
    if (word !== "") words.push(word);
  }
  return { purpose, words };
}

/** The lists of `initramfs/modules/`, compiled into the program. */
export const moduleLists: readonly ModuleList[] = [
  parseModuleList("storage", storage),
  parseModuleList("filesystems", filesystems),
  parseModuleList("crypto", crypto),
  parseModuleList("console", console),
  parseModuleList("efi", efi),
  parseModuleList("platform", platform),
];
