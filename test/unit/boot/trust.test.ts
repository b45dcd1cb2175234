import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { type Config, defaultConfig } from "../../../src/boot/config.ts";
import {
  effectiveConfig,
  parseImagePolicy,
  permittedConfig,
  readFirmwareTrust,
  readImageTrust,
  type Trust,
} from "../../../src/boot/trust.ts";
import { type Policy, permissionsOf } from "../../../src/trust/policy.ts";
import { defaultPolicyDocument, type PolicyDocument, parsePolicy } from "../../../src/trust/policy-schema.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";
import { minisign, newSigner, type Signer } from "../../fakes/minisign-signer.ts";
import { plainPolicy } from "../../fakes/policy.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-trust-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function policyWith(own: Partial<PolicyDocument>): Policy {
  return { ...plainPolicy("enforce", []), document: { ...defaultPolicyDocument, ...own } };
}

const allowAll = { shell: true, edit: true, commandLine: true };
const withShell: Config = { ...defaultConfig, rescue: { ...defaultConfig.rescue, shell: true } };

describe("what a policy permits", () => {
  test.each<[string, Partial<PolicyDocument>, typeof allowAll]>([
    ["everything, where it says nothing", {}, allowAll],
    ["no shell", { allow: { ...allowAll, shell: false } }, { ...allowAll, shell: false }],
    ["no editing", { allow: { ...allowAll, edit: false } }, { ...allowAll, edit: false }],
    ["no overrides", { allow: { ...allowAll, commandLine: false } }, { ...allowAll, commandLine: false }],
    [
      "nothing with lockdown, whatever else it says",
      { lockdown: true, allow: allowAll },
      { shell: false, edit: false, commandLine: false },
    ],
  ])("%s", (_name, own, permissions) => {
    expect(permissionsOf(policyWith(own).document)).toEqual(permissions);
  });

  test.each<[string, Partial<PolicyDocument>, boolean]>([
    ["a policy that says nothing", {}, true],
    ["allow.shell: false", { allow: { ...allowAll, shell: false } }, false],
    ["lockdown", { lockdown: true }, false],
  ])("rescue.shell with %s", (_name, own, shell) => {
    expect(permittedConfig(withShell, policyWith(own))).toEqual({
      ...withShell,
      rescue: { ...withShell.rescue, shell },
    });
    // A policy gives nothing that the configuration does not.
    expect(permittedConfig(defaultConfig, policyWith(own))).toEqual(defaultConfig);
  });
});

describe("effectiveConfig", () => {
  const commandLine = "quiet slipway.entry=other slipway.rescue.shell=true slipway.rescue.rebootAfterSeconds=7\n";

  it("without a policy's word: what the configuration lets be overridden", () => {
    expect(effectiveConfig(withShell, policyWith({}), commandLine)).toEqual({
      config: { ...withShell, entry: "other", rescue: { shell: true, rebootAfterSeconds: 7 } },
      refused: ['"slipway.rescue.shell": rescue.shell cannot be overridden on the command line'],
    });
  });

  test.each<[string, Partial<PolicyDocument>, boolean]>([
    ["allow.commandLine: false", { allow: { ...allowAll, commandLine: false } }, true],
    ["lockdown", { lockdown: true }, false],
  ])("%s: nothing is overridden, and each word is told", (_name, own, shell) => {
    const { config, refused } = effectiveConfig(withShell, policyWith(own), commandLine);
    expect(config).toEqual({ ...withShell, commandLineOverrides: false, rescue: { ...withShell.rescue, shell } });
    expect(refused).toEqual(
      ["entry", "rescue.shell", "rescue.rebootAfterSeconds"].map(
        (name) => `"slipway.${name}": commandLineOverrides is false by the policy`,
      ),
    );
  });
});

describe("parseImagePolicy", () => {
  it("a configuration beside it leaves the mode to it", () => {
    expect(parseImagePolicy('{"mode":"audit"}', "policy.json", defaultConfig).mode).toBe("audit");
    expect(formatErrorOf(() => parseImagePolicy("{}", "policy.json", { ...defaultConfig, trust: "off" }))).toBe(
      'policy.json: mode: the configuration says "off": with a policy, its "mode" decides',
    );
  });
});

/** Keys for what boots and for policies. */
const release = newSigner("release1");
const fleet = newSigner("fleet001");
const second = newSigner("fleet002");
const stranger = newSigner("stranger");
const vendor = "48bc4257-1044-435a-9991-c5ef002459a9";
const source = `efi:Policy-${vendor}`;

let made = 0;

/** The keys and the policy of an image, read as process 1 reads them. */
async function image(document: object, config: Config = defaultConfig): ReturnType<typeof readImageTrust> {
  const directory = path.join(scratch, `image${++made}`);
  mkdirSync(path.join(directory, "keys"), { recursive: true });
  for (const [name, { publicFile }] of Object.entries({ release, fleet, second })) {
    writeFileSync(path.join(directory, "keys", `${name}.pub`), publicFile);
  }
  const policy = path.join(directory, "policy.json");
  writeFileSync(policy, JSON.stringify(document));
  return readImageTrust(config, { keys: path.join(directory, "keys"), policy });
}

const keys = [
  { file: "release.pub" },
  { file: "fleet.pub", purposes: ["policy"] },
  { file: "second.pub", purposes: ["policy"] },
];

/** A signed document as it stands in the firmware's storage. */
function signedBy(signers: readonly Signer[], document: object | string): string {
  const payload = `${typeof document === "string" ? document : JSON.stringify(document)}\n`;
  return `${payload}--- signatures ---\n${signers.map((signer) => minisign(signer, payload)).join("")}`;
}

interface Stored {
  readonly image?: object;
  /** None: there is no variable. */
  readonly stored?: string;
  readonly attributes?: number;
  readonly required?: boolean;
  readonly source?: string | null;
}

/** What holds in the end. */
async function trust({ stored, ...own }: Stored): Promise<Trust> {
  const efiVariables = path.join(scratch, `variables${++made}`);
  mkdirSync(efiVariables);
  if (stored !== undefined) {
    const attributes = Buffer.alloc(4);
    attributes.writeUInt32LE(own.attributes ?? 0x27);
    writeFileSync(path.join(efiVariables, `Policy-${vendor}`), Buffer.concat([attributes, Buffer.from(stored)]));
  }
  const policy = { source: own.source === undefined ? source : own.source, required: own.required ?? false };
  const config = { ...defaultConfig, policy };
  const read = await image({ keys, ...own.image }, config);
  expect(read.problems).toEqual([]);
  return readFirmwareTrust(config, read, { efiVariables, vpd: "/nowhere" });
}

describe("readImageTrust", () => {
  it("an image without a policy and without keys", async () => {
    const places = { keys: "/nowhere/keys", policy: "/nowhere/policy.json" };
    const { policy, problems } = await readImageTrust({ ...defaultConfig, trust: "audit" }, places);
    expect([policy.document.mode, policy.anchors, problems]).toEqual(["audit", [], []]);
  });
  it("a policy that cannot be read or is not valid: nothing boots by any other", async () => {
    await expect(readImageTrust(defaultConfig, { keys: "/nowhere", policy: scratch })).rejects.toThrow(
      `policy ${JSON.stringify(scratch)}: EISDIR: `,
    );
    await expect(image({ lockdown: true, mode: "off" })).rejects.toThrow(
      /policy\.json: mode: "off" is not possible with "lockdown"$/,
    );
  });
});

describe("readFirmwareTrust", () => {
  const open = { serial: 1, mode: "audit" };

  it("a policy that a policy key signed holds, with the image's keys", async () => {
    const { policy, problems } = await trust({
      stored: signedBy([fleet], { ...open, keys: [{ file: "release.pub" }] }),
    });
    expect(problems).toEqual([]);
    expect(policy.document).toMatchObject(open);
    expect(policy.anchors.map(({ anchor }) => anchor.label)).toEqual(["release"]);
  });

  it("a key that it names and that the image has not is told", async () => {
    const { problems } = await trust({ stored: signedBy([fleet], { ...open, keys: [{ file: "gone.pub" }] }) });
    expect(problems).toEqual(['policy: key "gone.pub": there is no such key file']);
  });

  it("nothing is looked for where the configuration names no place", async () => {
    const { policy, problems } = await trust({ source: null, stored: signedBy([fleet], open) });
    expect([policy.document.mode, problems]).toEqual(["enforce", []]);
  });

  const id = (signer: Signer): string => Buffer.from(signer.id).reverse().toString("hex").toUpperCase();
  const rows: readonly (readonly [string, Stored, string])[] = [
    ["there is none", {}, "there is none"],
    ["it is not signed", { stored: JSON.stringify(open) }, "no signature"],
    [
      "it is signed by a stranger",
      { stored: signedBy([stranger], open) },
      `signature: made with key ${id(stranger)}, which is not trusted`,
    ],
    [
      "it is signed by a key for what boots",
      { stored: signedBy([release], open) },
      'signature: signed by "release", who may not sign a policy',
    ],
    [
      "it was changed after it was signed",
      { stored: signedBy([fleet], open).replace("audit", "off") },
      "signature: the signature does not match the file",
    ],
    [
      "too few have signed it",
      { image: { threshold: 2 }, stored: signedBy([fleet], open) },
      "signed by fleet: 2 different signers expected, not 1",
    ],
    [
      "one has signed it twice",
      { image: { threshold: 2 }, stored: signedBy([fleet, fleet], open) },
      "signed by fleet: 2 different signers expected, not 1",
    ],
    [
      "its key was taken back",
      {
        image: { keys: [{ file: "release.pub" }, { file: "fleet.pub", purposes: ["policy"], revoked: true }] },
        stored: signedBy([fleet], open),
      },
      'signature: signed by "fleet", whose key the policy has revoked',
    ],
    ["it is older", { image: { serial: 2 }, stored: signedBy([fleet], open) }, "serial 1, the image's policy has 2"],
    [
      "it takes lockdown back",
      { image: { lockdown: true }, stored: signedBy([fleet], { serial: 9 }) },
      '"lockdown" cannot be taken back',
    ],
    [
      "it is locked and loose",
      { image: { lockdown: true }, stored: signedBy([fleet], { lockdown: true, rules: [{ mode: "off" }] }) },
      'document: rules[0].mode: "off" is not possible with "lockdown"',
    ],
    ["it is no policy", { stored: signedBy([fleet], "[]") }, 'document: "[]", an object expected'],
    [
      "anybody could have written it",
      { stored: signedBy([fleet], open), attributes: 0x07 },
      "attributes 0x7 with no authentication, so that whoever runs as root may change it; TIME_BASED_AUTHENTICATED_WRITE_ACCESS (0x20) expected",
    ],
    [
      "its place is none",
      { source: "efi:Policy" },
      'policy source: "efi:Policy", "efi:NAME-GUID" expected, the name of letters, digits and "_.-"',
    ],
  ];

  test.each(rows)("%s: the image's holds, and the log says why", async (_name, stored, reason) => {
    const { policy, problems } = await trust(stored);
    expect(problems).toEqual([`policy ${stored.source ?? source}: ${reason}; the image's policy holds`]);
    expect(policy.document).toEqual(parsePolicy(JSON.stringify({ keys, ...stored.image }), "policy"));
  });

  test.each(rows)("%s: nothing boots where policy.required says so", async (_name, stored, reason) => {
    await expect(trust({ ...stored, required: true })).rejects.toThrow(
      `policy ${stored.source ?? source}: ${reason}, and policy.required is true`,
    );
  });

  it("what the image's policy wants of entries and their manifests is not asked of a policy", async () => {
    const { problems } = await trust({ image: { evidence: ["manifest"] }, stored: signedBy([fleet], open) });
    expect(problems).toEqual([]);
  });

  it("a locked one over a locked one holds", async () => {
    const { policy, problems } = await trust({
      image: { lockdown: true, threshold: 2 },
      stored: signedBy([fleet, second], { lockdown: true, serial: 3 }),
    });
    expect(problems).toEqual([]);
    expect(policy.document).toMatchObject({ lockdown: true, serial: 3 });
  });
});
