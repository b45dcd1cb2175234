import {
  efiText,
  efiVariableBytesMax,
  efiVariableFileName,
  loaderVendor,
  parseEfiVariable,
} from "../formats/efi-variable.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { type LoaderTimeout, loaderTimeoutSecondsMax, parseLoaderTimeout } from "../formats/loader-conf.ts";
import { Remarks, readKernelBytes } from "./kernel-files.ts";

/** Where the kernel shows EFI variables; nothing is there without EFI, or before efivarfs is mounted. */
export const efiVariablesDirectory = "/sys/firmware/efi/efivars";

/**
 * What the operating system told the boot loader to start (Boot Loader Interface, systemd-boot(7)). Each is an entry's id
 * or a pattern of it. Nothing is written: a one-shot choice stays until the operating system takes it back.
 */
export interface EfiChoices {
  /** LoaderEntryOneShot: for the next boot only. */
  readonly oneShot: string | null;
  /** LoaderEntryPreferred: unless the entry has no tries left. */
  readonly preferred: string | null;
  /** LoaderEntryDefault; `@saved` is the entry that was booted last. */
  readonly default: string | null;
  /** LoaderEntryLastBooted. */
  readonly lastBooted: string | null;
  /** The variable that says how long the menu is shown; null: none does. */
  readonly timeoutVariable: "LoaderConfigTimeoutOneShot" | "LoaderConfigTimeout" | null;
  /** What it says, in seconds; null: for ever, or nothing. */
  readonly timeoutSeconds: number | null;
  /** What could not be read, as sentences. */
  readonly problems: readonly string[];
}

/** Nothing was told. */
export const noEfiChoices: EfiChoices = {
  oneShot: null,
  preferred: null,
  default: null,
  lastBooted: null,
  timeoutVariable: null,
  timeoutSeconds: null,
  problems: [],
};

/** Reads the choices. Never throws: what is broken costs itself and is told. */
export function readEfiChoices(directory: string = efiVariablesDirectory): EfiChoices {
  const remarks = new Remarks();
  const text = (name: string): string | null =>
    remarks.attempt(`EFI variable ${name}`, () => readLoaderText(directory, name));
  const timeout = (name: "LoaderConfigTimeoutOneShot" | "LoaderConfigTimeout"): LoaderTimeout | null => {
    const value = text(name);
    return value === null ? null : remarks.attempt(`EFI variable ${name}`, () => parseTimeout(value));
  };
  const oneShotTimeout = timeout("LoaderConfigTimeoutOneShot");
  const lastingTimeout = timeout("LoaderConfigTimeout");
  return {
    oneShot: text("LoaderEntryOneShot"),
    preferred: text("LoaderEntryPreferred"),
    default: text("LoaderEntryDefault"),
    lastBooted: text("LoaderEntryLastBooted"),
    timeoutVariable:
      oneShotTimeout !== null ? "LoaderConfigTimeoutOneShot" : lastingTimeout !== null ? "LoaderConfigTimeout" : null,
    timeoutSeconds:
      secondsOf(oneShotTimeout, true) ?? (oneShotTimeout === null ? secondsOf(lastingTimeout, false) : null),
    problems: remarks.sentences,
  };
}

/** Null when there is no such variable, or an empty one. */
function readLoaderText(directory: string, name: string): string | null {
  const bytes = readKernelBytes(`${directory}/${efiVariableFileName(name, loaderVendor)}`, efiVariableBytesMax);
  // efivarfs shows a variable that is being made as an empty file.
  if (bytes === null || bytes.length === 0) return null;
  const text = efiText(parseEfiVariable(bytes).data);
  if (/[\u0000-\u001f\u007f]/.test(text))
    throw new FormatError("efi variable", `printable text expected, not ${quote(text)}`);
  return text === "" ? null : text;
}

/** More seconds than there can be are the most that there can be, as systemd-boot takes them. */
function parseTimeout(value: string): LoaderTimeout {
  if (/^[0-9]+$/.test(value) && Number(value) > loaderTimeoutSecondsMax) {
    return { kind: "seconds", seconds: loaderTimeoutSecondsMax };
  }
  return parseLoaderTimeout(value);
}

/** Once, zero seconds are for ever (Boot Loader Interface, LoaderConfigTimeoutOneShot). */
function secondsOf(timeout: LoaderTimeout | null, once: boolean): number | null {
  if (timeout === null || timeout.kind === "menu-force") return null;
  if (timeout.kind !== "seconds") return 0;
  return once && timeout.seconds === 0 ? null : timeout.seconds;
}

/** The vendor of `db` and `dbx` (UEFI 2.10, section 32.6.1), and of shim's variables. */
const imageSecurityVendor = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
const shimVendor = "605dab50-e046-4300-abb6-3dd810dd8b23";

/** What the firmware's Secure Boot trusts and does not; null: there is none, or it was not asked for. */
export interface FirmwareTrust {
  /** EFI signature lists. */
  readonly db: Uint8Array | null;
  readonly dbx: Uint8Array | null;
  /** SBAT levels as shim shows them, text. */
  readonly sbat: string | null;
  /** What could not be read, as sentences. */
  readonly problems: readonly string[];
}

/** Reads the lists that are asked for. Never throws: what is broken costs itself and is told. */
export function readFirmwareLists(
  asked: { readonly db: boolean; readonly dbx: boolean },
  directory: string = efiVariablesDirectory,
): FirmwareTrust {
  const remarks = new Remarks();
  const data = (name: string, vendor: string, isAsked: boolean): Uint8Array | null =>
    isAsked ? remarks.attempt(`EFI variable ${name}`, () => readData(directory, name, vendor)) : null;
  const sbat = data("SbatLevelRT", shimVendor, asked.dbx);
  return {
    db: data("db", imageSecurityVendor, asked.db),
    dbx: data("dbx", imageSecurityVendor, asked.dbx),
    sbat: sbat === null ? null : new TextDecoder("latin1").decode(sbat).replace(/\0+$/, ""),
    problems: remarks.sentences,
  };
}

/** Null when there is no such variable, or an empty one. */
function readData(directory: string, name: string, vendor: string): Uint8Array | null {
  const bytes = readKernelBytes(`${directory}/${efiVariableFileName(name, vendor)}`, efiVariableBytesMax);
  if (bytes === null || bytes.length === 0) return null;
  const { data } = parseEfiVariable(bytes);
  return data.length === 0 ? null : data;
}
