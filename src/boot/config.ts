import { FormatError, quote } from "../formats/format-error.ts";
import { parseJsonText } from "../formats/json-fields.ts";
import {
  choice,
  flag,
  type Infer,
  integer,
  listSettings,
  optionalText,
  readSection,
  section,
} from "../formats/schema.ts";

/** Where the image builder puts configuration and keys, and PID 1 finds them. */
export const configPath = "/etc/slipway/config.json";
export const policyPath = "/etc/slipway/policy.json";
export const keysDirectory = "/etc/slipway/keys";

const mebibyte = 1 << 20;

/** The one schema of `/etc/slipway/config.json`: names, types, bounds, defaults and the text of docs/configuration.md. */
export const configSchema = section("Slipway's configuration", {
  trust: choice({
    choices: ["enforce", "audit", "off"],
    default: "enforce",
    doc: "What unsigned or wrongly signed files mean, where there is no policy (docs/policy.md): with one, its `mode` decides. `enforce`: the entry is refused. `audit`: it boots, and the log says what would have been refused. `off`: signatures are not looked at.",
  }),
  policy: section("A policy that the firmware keeps", {
    source: optionalText({
      charactersMax: 256,
      default: null,
      doc: "Where a signed policy may stand that replaces the image's: `efi:NAME-GUID` (an EFI variable with authenticated writes), `vpd:ro/NAME` or `vpd:rw/NAME` (coreboot's vital product data).",
    }),
    required: flag({
      default: false,
      doc: "Whether nothing boots without it. Otherwise the image's own policy holds when it is missing or refused, and the log says why.",
    }),
  }),
  entry: optionalText({
    charactersMax: 1024,
    default: null,
    overridable: true,
    doc: "The entry to boot first: an id, a title, a GRUB menu path or a BLS file name; `*` and `?` match as in a shell. Slipway waits for it up to `discovery.deviceTimeoutSeconds`.",
  }),
  commandLineOverrides: flag({
    default: true,
    doc: "Whether `slipway.KEY=VALUE` on the firmware kernel's command line may override the settings marked so below.",
  }),
  discovery: section("Finding devices and entries", {
    deviceTimeoutSeconds: integer({
      default: 10,
      min: 0,
      max: 86_400,
      unit: "seconds",
      overridable: true,
      doc: "How long to wait for a device with a bootable entry, once every present device was searched in vain. Nothing waits when an entry is there.",
    }),
    probeTimeoutSeconds: integer({
      default: 10,
      min: 1,
      max: 600,
      unit: "seconds",
      overridable: true,
      doc: "How long one device may take to answer one request before it is left out.",
    }),
  }),
  handoff: section("The jump into the target kernel", {
    bootImage: flag({
      default: true,
      doc: "Whether the word `BOOT_IMAGE=…` is put before the options of entries whose own loaders do so (GRUB).",
    }),
    digest: choice({
      choices: ["auto", "always"],
      default: "auto",
      doc: "Whether what was loaded is compared with its SHA-256 once more, right before the jump. `auto`: not where kexec_load(2) can be used, for the bytes were verified an instant before. `always`: in any case, which costs time.",
    }),
  }),
  rescue: section("What happens when nothing boots", {
    rebootAfterSeconds: integer({
      default: 300,
      min: 0,
      max: 86_400,
      unit: "seconds",
      overridable: true,
      doc: "When the machine reboots if nobody types anything at a console; 0: never.",
    }),
    shell: flag({
      default: false,
      doc: "Whether the rescue console offers a shell (`/bin/sh` must be in the image). A shell is full control of the machine.",
    }),
  }),
  limits: section("The most that untrusted input may cost", {
    configBytesMax: integer({
      default: mebibyte,
      min: 1024,
      max: 64 * mebibyte,
      unit: "bytes",
      doc: "One boot configuration file.",
    }),
    optionsBytesMax: integer({
      default: 65_536,
      min: 256,
      max: mebibyte,
      unit: "bytes",
      doc: "The options of one entry.",
    }),
    entriesMax: integer({
      default: 1000,
      min: 1,
      max: 100_000,
      unit: "entries",
      doc: "Entries of one format on one volume.",
    }),
    kernelBytesMax: integer({
      default: 256 * mebibyte,
      min: mebibyte,
      max: 4096 * mebibyte - 1,
      unit: "bytes",
      doc: "A kernel.",
    }),
    initrdBytesMax: integer({
      default: 1024 * mebibyte,
      min: mebibyte,
      max: 4096 * mebibyte - 1,
      unit: "bytes",
      doc: "All the initrds of an entry together.",
    }),
    devicetreeBytesMax: integer({
      default: 2 * mebibyte,
      min: 4096,
      max: 16 * mebibyte,
      unit: "bytes",
      doc: "A device tree.",
    }),
  }),
});

export type Config = Infer<typeof configSchema>;

/** Reads a configuration. Throws {@link FormatError} that names the file, the field, the value and what was expected. */
export function parseConfig(text: string, name: string): Config {
  const value = parseJsonText(text, name);
  return readSection(configSchema, value, name);
}

export const defaultConfig: Config = readSection(configSchema, {}, "default");

export interface OverriddenConfig {
  readonly config: Config;
  /** Overrides that were refused, each with its reason. */
  readonly refused: readonly string[];
}

/**
 * Applies `slipway.KEY=VALUE` words of the kernel command line. A word that the configuration forbids, does not know or
 * cannot read is refused by name and changes nothing.
 *
 * @param parameters names (with the `slipway.` prefix) and values as the kernel would split them
 */
export function overrideConfig(
  config: Config,
  parameters: readonly { readonly name: string; readonly value: string | null }[],
): OverriddenConfig {
  const refused: string[] = [];
  const settings = new Map(listSettings(configSchema).map((named) => [named.path.toLowerCase(), named]));
  // A copy that may be edited; the schema's shape is kept because only known paths are written.
  const edited: unknown = structuredClone(config);
  for (const parameter of parameters) {
    if (!parameter.name.startsWith("slipway.")) continue;
    const key = parameter.name.slice("slipway.".length);
    const named = settings.get(key.toLowerCase());
    const value = named?.setting.fromText(parameter.value ?? "");
    if (!config.commandLineOverrides) refused.push(`${quote(parameter.name)}: commandLineOverrides is false`);
    else if (named === undefined) refused.push(`${quote(parameter.name)}: there is no such setting`);
    else if (!named.setting.overridable) {
      refused.push(`${quote(parameter.name)}: ${named.path} cannot be overridden on the command line`);
    } else if (!named.setting.check(value)) {
      refused.push(`${quote(parameter.name)}: ${quote(parameter.value ?? "")}, ${named.setting.type} expected`);
    } else assign(edited, named.path.split("."), value);
  }
  return { config: readSection(configSchema, edited, "kernel command line"), refused };
}

function assign(target: unknown, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined || typeof target !== "object" || target === null) return;
  if (rest.length === 0) Reflect.set(target, head, value);
  else assign(Reflect.get(target, head), rest, value);
}
