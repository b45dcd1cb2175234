import { messageOf } from "../formats/error-text.ts";
import { FormatError } from "../formats/format-error.ts";
import { parseGlob } from "../formats/glob.ts";
import { parseJsonText } from "../formats/json-fields.ts";
import {
  choice,
  choiceList,
  flag,
  type Infer,
  integer,
  list,
  optionalInteger,
  optionalText,
  optionalTime,
  readSection,
  section,
  textList,
} from "../formats/schema.ts";
import { schemeNames } from "./schemes/scheme.ts";

/** What a key may sign. */
export const purposes = [
  "manifest",
  "package",
  "config",
  "linux",
  "initrd",
  "devicetree",
  "module",
  "addon",
  "overlay",
  "policy",
] as const;
export type Purpose = (typeof purposes)[number];

/** What of an entry has to be vouched for. */
export const coverable = ["options", "linux", "initrd", "devicetree", "module", "addon", "overlay"] as const;
export type Coverable = (typeof coverable)[number];

/** Where a signature may stand. */
export const evidenceKinds = ["detached", "enclosed", "manifest", "package"] as const;
export type Evidence = (typeof evidenceKinds)[number];

/** Largest policy document, bytes. */
export const policyBytesMax = 262_144;

const label = { charactersMax: 128, default: null } as const;

/** What a rule demands; the fields are the same for the rule that holds where no other does. */
const demands = {
  schemes: choiceList({
    choices: [...schemeNames],
    default: [...schemeNames],
    doc: "Kinds of signatures that count.",
  }),
  evidence: choiceList({
    choices: evidenceKinds,
    default: [...evidenceKinds],
    doc: "Where signatures may stand: `detached` beside a file, `enclosed` in it (Authenticode, appended), in a Slipway `manifest`, in the descriptor of an OS `package`.",
  }),
  signers: textList({
    itemsMax: 1000,
    charactersMax: 128,
    default: [],
    doc: "Labels of the keys and roots that count; empty: all of them.",
  }),
  threshold: integer({
    default: 1,
    min: 1,
    max: 32,
    unit: "signers",
    doc: "How many different signers have to vouch for each thing.",
  }),
  cover: choiceList({
    choices: coverable,
    default: [...coverable],
    doc: "What has to be vouched for. What is left out is taken unsigned.",
  }),
  optionsAllowed: textList({
    itemsMax: 200,
    charactersMax: 256,
    default: [],
    doc: "Patterns (`*`, `?`, `[a-z]`) of kernel options that may be there although nobody signed them, word by word. Signed options cannot be left out or reordered.",
  }),
} as const;

/** The one schema of `/etc/slipway/policy.json`: names, types, bounds, defaults and the text of docs/policy.md. */
export const policySchema = section("Slipway's trust policy", {
  serial: integer({
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: "versions",
    doc: "The policy's own version. A policy that comes from the firmware's storage replaces the image's only when its serial is not lower.",
  }),
  lockdown: flag({
    default: false,
    doc: "Nothing at the console, on the kernel command line, on a disk or in the network can loosen anything: no shell, no editing, no `slipway.` settings, no rule with another mode than `enforce` or a lower `threshold`, no `optionsAllowed`, no `rescue.shell`. It cannot be unlocked.",
  }),
  mode: choice({
    choices: ["enforce", "audit", "off"],
    default: "enforce",
    doc: "What holds where no rule says otherwise. `enforce`: what is not vouched for is refused. `audit`: it boots, and the log says what would have been refused. `off`: signatures are not looked at.",
  }),
  ...demands,
  rules: list({
    doc: "Exceptions by source; the first rule that fits an entry holds for it. Where an entry comes from is not authenticated: anybody can give a disk any label.",
    itemsMax: 100,
    item: {
      name: optionalText({ ...label, doc: "For messages." }),
      volumes: textList({
        itemsMax: 100,
        charactersMax: 256,
        default: [],
        doc: "`FACT=PATTERN`: name, uuid, label, partuuid, partlabel, disk, fstype or parttype of the volume that holds the entry's configuration. Empty: any.",
      }),
      urls: textList({
        itemsMax: 100,
        charactersMax: 256,
        default: [],
        doc: "Patterns of the URL that the entry's configuration was fetched from. A rule with `urls` fits no entry of a disk.",
      }),
      formats: choiceList({
        choices: ["bls1", "uki", "grub", "syslinux", "pxelinux", "ipxe", "loopback", "kboot", "ospkg"],
        default: [],
        doc: "Formats of the entry's configuration. Empty: any.",
      }),
      mode: choice({ choices: ["enforce", "audit", "off"], default: "enforce", doc: "As `mode` above." }),
      ...demands,
    },
  }),
  keys: list({
    doc: "What each key is trusted for. Empty: every key in the image's key directory, for everything but policies.",
    itemsMax: 1000,
    item: {
      file: optionalText({
        charactersMax: 255,
        default: null,
        doc: "A file of the key directory: a public key, a keyring, a certificate, an EFI signature list. Either this or `text`.",
      }),
      text: optionalText({
        charactersMax: 32_768,
        default: null,
        doc: "The key itself, as its file's text.",
      }),
      label: optionalText({ ...label, doc: "What messages call it; null: the file's name." }),
      purposes: choiceList({
        choices: purposes,
        default: purposes.filter((purpose) => purpose !== "policy"),
        doc: "What it may sign. `manifest` and `package`: everything that such a document lists.",
      }),
      notBefore: optionalTime({ default: null, doc: "Not trusted earlier than this." }),
      notAfter: optionalTime({ default: null, doc: "Not trusted later than this." }),
      revoked: flag({ default: false, doc: "Never trusted, and messages say that it was taken back." }),
    },
  }),
  revoked: textList({
    itemsMax: 10_000,
    charactersMax: 64,
    default: [],
    doc: "SHA-256 (hexadecimal) of files that never boot, whoever signed them.",
  }),
  clock: section("Time", {
    source: choice({
      choices: ["plausible", "machine", "none"],
      default: "plausible",
      doc: "What is believed of the time. `machine`: the machine's clock. `plausible`: the machine's clock, unless it is before `atLeast` or before this program was written; then only that it is later than both. `none`: periods of validity are not looked at.",
    }),
    atLeast: optionalTime({
      default: null,
      doc: "It is known to be later than this: when the policy was written, for example.",
    }),
  }),
  firmware: section("What the firmware trusts", {
    db: flag({
      default: false,
      doc: "Whether the certificates and digests of the firmware's Secure Boot variable `db` count as keys for `linux` and `addon`.",
    }),
    dbx: flag({
      default: true,
      doc: "Whether the firmware's list of what was taken back (`dbx`) and its SBAT levels (`SbatLevelRT`) are obeyed where Authenticode is checked. Key files `*.dbx` and `*.sbat` always are.",
    }),
  }),
  allow: section("What may be done at the console and from outside", {
    shell: flag({
      default: true,
      doc: "Whether `rescue.shell` of the configuration may offer a shell.",
    }),
    edit: flag({
      default: true,
      doc: "Whether options may be added to an entry at the rescue console (`boot N WORD`). The words have to fit `optionsAllowed`, where options have to be vouched for.",
    }),
    commandLine: flag({
      default: true,
      doc: "Whether `slipway.KEY=VALUE` on the firmware kernel's command line may override settings.",
    }),
  }),
  rollback: section("Protection against older versions", {
    store: choice({
      choices: ["none", "tpm", "efi", "file"],
      default: "none",
      doc: "Where the lowest version that may boot is kept for each product. `tpm`: counters that only go up. `efi`: an EFI variable. `file`: a file on a volume.",
    }),
    required: flag({
      default: true,
      doc: "With a store or with minimums: whether an entry that no manifest gives a product and a version is refused, and any entry when the store cannot be read.",
    }),
    volume: optionalText({
      charactersMax: 256,
      default: null,
      doc: "For `file`: the volume, as `FACT=VALUE` (`uuid=…`, `partuuid=…`, `label=…`, `partlabel=…`).",
    }),
    path: optionalText({
      charactersMax: 1024,
      default: null,
      doc: "For `file`: its path on the volume.",
    }),
    products: list({
      doc: "The products with a minimum.",
      itemsMax: 32,
      item: {
        name: optionalText({ ...label, doc: "As the manifests name it." }),
        minimum: integer({
          default: 0,
          min: 0,
          max: Number.MAX_SAFE_INTEGER,
          unit: "versions",
          doc: "The lowest version, whatever the store says.",
        }),
        nvIndex: optionalInteger({
          default: null,
          min: 0x01800000,
          max: 0x01bffffe,
          unit: "(TPM handle)",
          doc: "For `tpm`: the counter's NV index; the next one holds its base.",
        }),
      },
    }),
  }),
  measure: choice({
    choices: ["if-present", "required", "off"],
    default: "if-present",
    doc: "Measured boot. `if-present`: into the TPM when there is one; what fails is told. `required`: without a TPM that takes every measurement nothing boots. `off`: nothing is measured.",
  }),
});

export type PolicyDocument = Infer<typeof policySchema>;

/** Reads a policy. Throws {@link FormatError} that names the document, the field, the value and what was expected. */
export function parsePolicy(text: string, name: string): PolicyDocument {
  const value = parseJsonText(text, name);
  const document = readSection(policySchema, value, name);
  checkPolicy(document, name);
  return document;
}

export const defaultPolicyDocument: PolicyDocument = readSection(policySchema, {}, "default");

/** The facts of a volume that a rule may ask for. */
export const volumeFactNames = [
  "name",
  "uuid",
  "label",
  "partuuid",
  "partlabel",
  "disk",
  "fstype",
  "parttype",
] as const;
export type VolumeFactName = (typeof volumeFactNames)[number];

/** `label=ESP*` as fact and pattern; null for anything else. */
export function splitVolumePattern(text: string): { readonly fact: VolumeFactName; readonly pattern: string } | null {
  const [, name = "", pattern = ""] = /^([a-z]+)=(.+)$/s.exec(text) ?? [];
  const fact = volumeFactNames.find((known) => known === name);
  return fact === undefined ? null : { fact, pattern };
}

/** Throws the FormatError of a document that says something impossible. */
type Fail = (field: string, detail: string) => never;

/** What the types do not say. */
function checkPolicy(document: PolicyDocument, name: string): void {
  const fail: Fail = (field, detail) => {
    throw new FormatError(name, detail, { field });
  };
  for (const { place, rule } of [
    { place: "", rule: document },
    ...document.rules.map((each, index) => ({ place: `rules[${index}].`, rule: each })),
  ]) {
    if (rule.cover.length === 0) fail(`${place}cover`, 'nothing would be checked; "mode": "off" says that');
    if (rule.schemes.length === 0) fail(`${place}schemes`, "at least one expected");
    if (rule.evidence.length === 0) fail(`${place}evidence`, "at least one expected");
    for (const pattern of rule.optionsAllowed) checkGlob(pattern, `${place}optionsAllowed`, fail);
    if (document.lockdown) checkLockdown(document, rule, place, fail);
  }
  document.rules.forEach((rule, index) => {
    checkMatch(rule, `rules[${index}]`, fail);
  });
  checkKeys(document.keys, fail);
  for (const digest of document.revoked) {
    if (!/^[0-9a-f]{64}$/.test(digest))
      fail("revoked", `${JSON.stringify(digest)}, 64 lower-case hexadecimal digits expected`);
  }
  checkRollback(document.rollback, fail);
}

/** With "lockdown", no rule may demand less than what holds outside of the rules. */
function checkLockdown(
  document: PolicyDocument,
  rule: PolicyDocument | PolicyDocument["rules"][number],
  place: string,
  fail: Fail,
): void {
  if (rule.mode !== "enforce") fail(`${place}mode`, `"${rule.mode}" is not possible with "lockdown"`);
  if (rule.optionsAllowed.length > 0) fail(`${place}optionsAllowed`, 'an empty list expected with "lockdown"');
  if (coverable.some((role) => !rule.cover.includes(role))) {
    fail(`${place}cover`, 'everything has to be covered with "lockdown"');
  }
  // Whoever can plug in a disk chooses the rule.
  if (rule.threshold < document.threshold) {
    fail(`${place}threshold`, `at least ${document.threshold} expected, as outside of the rules, with "lockdown"`);
  }
  if (rule.signers.length === 0 && document.signers.length > 0) {
    fail(`${place}signers`, 'some have to be named, as outside of the rules, with "lockdown"');
  }
  for (const field of ["schemes", "evidence", "signers"] as const) {
    const known: readonly string[] = document[field];
    const further =
      field === "signers" && known.length === 0 ? undefined : rule[field].find((word) => !known.includes(word));
    if (further === undefined) continue;
    fail(`${place}${field}`, `"${further}" does not count outside of the rules, nor may it with "lockdown"`);
  }
}

function checkMatch({ volumes, urls }: PolicyDocument["rules"][number], place: string, fail: Fail): void {
  for (const text of volumes) {
    const split = splitVolumePattern(text);
    const expected = `FACT=PATTERN expected, FACT one of ${volumeFactNames.join(", ")}`;
    if (split === null) fail(`${place}.volumes`, `${JSON.stringify(text)}, ${expected}`);
    else checkGlob(split.pattern, `${place}.volumes`, fail);
  }
  for (const pattern of urls) checkGlob(pattern, `${place}.urls`, fail);
}

function checkKeys(keys: PolicyDocument["keys"], fail: Fail): void {
  keys.forEach((key, index) => {
    if ((key.file === null) === (key.text === null)) fail(`keys[${index}]`, 'either "file" or "text" expected');
    if (key.text !== null && key.label === null) fail(`keys[${index}].label`, 'a label expected with "text"');
    if (key.file?.includes("/") === true)
      fail(`keys[${index}].file`, "the name of a file, without a directory, expected");
  });
  const seen = new Set<string>();
  for (const [index, { label: own, file }] of keys.entries()) {
    const shown = own ?? file ?? "";
    if (seen.has(shown)) fail(`keys[${index}].label`, `a second key called ${JSON.stringify(shown)}`);
    seen.add(shown);
  }
}

function checkRollback(rollback: PolicyDocument["rollback"], fail: Fail): void {
  const names = rollback.products.map(({ name }) => name);
  rollback.products.forEach(({ name, nvIndex }, index) => {
    const place = `rollback.products[${index}]`;
    if (name === null || name === "") fail(`${place}.name`, "a product's name expected");
    if (names.indexOf(name) !== index) fail(`${place}.name`, `a second product ${JSON.stringify(name)}`);
    if (rollback.store === "tpm" && nvIndex === null)
      fail(`${place}.nvIndex`, 'an NV index expected with "store": "tpm"');
  });
  const indices = rollback.products.flatMap(({ nvIndex }) => (nvIndex === null ? [] : [nvIndex, nvIndex + 1]));
  if (new Set(indices).size < indices.length) fail("rollback.products", "NV indices overlap: each product takes two");
  if (rollback.store === "file") {
    if (!/^(uuid|partuuid|label|partlabel)=./.test(rollback.volume ?? "")) {
      fail("rollback.volume", 'uuid=…, partuuid=…, label=… or partlabel=… expected with "store": "file"');
    }
    if (rollback.path?.startsWith("/") !== true)
      fail("rollback.path", 'an absolute path expected with "store": "file"');
  }
}

function checkGlob(pattern: string, field: string, fail: Fail): void {
  try {
    parseGlob(pattern);
  } catch (error) {
    fail(field, messageOf(error));
  }
}
