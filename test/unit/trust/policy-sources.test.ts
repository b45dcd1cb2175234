import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { parsePolicySource, policySourceText, readPolicyDocument } from "../../../src/trust/policy-sources.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const vendor = "48bc4257-1044-435a-9991-c5ef002459a9";
const directory = mkdtempSync(path.join(tmpdir(), "slipway-policies-"));
afterAll(() => rmSync(directory, { recursive: true }));
mkdirSync(path.join(directory, "vpd/ro"), { recursive: true });
mkdirSync(path.join(directory, "vpd/rw"));
mkdirSync(path.join(directory, "efi"));
const places = { efiVariables: path.join(directory, "efi"), vpd: path.join(directory, "vpd") };

describe("parsePolicySource", () => {
  test.each([
    ["efi:SlipwayPolicy-48bc4257-1044-435a-9991-c5ef002459a9", { kind: "efi", name: "SlipwayPolicy", vendor }],
    ["efi:A-b-48bc4257-1044-435a-9991-c5ef002459a9", { kind: "efi", name: "A-b", vendor }],
    ["vpd:ro/slipway_policy", { kind: "vpd", region: "ro", name: "slipway_policy" }],
    ["vpd:rw/p", { kind: "vpd", region: "rw", name: "p" }],
  ])("%s", (text, source) => {
    expect(parsePolicySource(text)).toEqual(source);
    expect(policySourceText(parsePolicySource(text))).toBe(text);
  });

  it("a GUID is lower case", () => {
    expect(parsePolicySource("efi:X-48BC4257-1044-435A-9991-C5EF002459A9")).toEqual({ kind: "efi", name: "X", vendor });
  });

  const efi = (text: string): string =>
    `policy source: "${text}", "efi:NAME-GUID" expected, the name of letters, digits and "_.-"`;
  const vpd = (text: string): string =>
    `policy source: "${text}", "vpd:ro/NAME" or "vpd:rw/NAME" expected, the name of letters, digits and "_"`;
  test.each([
    ["efi:SlipwayPolicy", efi("efi:SlipwayPolicy")],
    [`efi:../x-${vendor}`, efi(`efi:../x-${vendor}`)],
    [`efi:-${vendor}`, efi(`efi:-${vendor}`)],
    ["vpd:name", vpd("vpd:name")],
    ["vpd:wo/name", vpd("vpd:wo/name")],
    ["vpd:ro/../rw/name", vpd("vpd:ro/../rw/name")],
    ["vpd:ro/", vpd("vpd:ro/")],
    ["file:/x", 'policy source: "file:/x", "efi:NAME-GUID", "vpd:ro/NAME" or "vpd:rw/NAME" expected'],
    ["", 'policy source: "", "efi:NAME-GUID", "vpd:ro/NAME" or "vpd:rw/NAME" expected'],
  ])("refuses %s", (text, message) => expect(formatErrorOf(() => parsePolicySource(text))).toBe(message));
});

describe("an EFI variable", () => {
  const text = `efi:Policy-${vendor}`;
  const read = (attributes: number, content: string): ReturnType<typeof readPolicyDocument> => {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(attributes);
    writeFileSync(path.join(directory, `efi/Policy-${vendor}`), Buffer.concat([head, Buffer.from(content)]));
    return readPolicyDocument(parsePolicySource(text), places);
  };

  it("authenticated by time", () => {
    expect(read(0x27, "{}")).toEqual({ untrustedBytes: bytesOf("{}"), reason: null });
  });

  test.each<[number, string]>([
    [
      0x07,
      "attributes 0x7 with no authentication, so that whoever runs as root may change it; TIME_BASED_AUTHENTICATED_WRITE_ACCESS (0x20) expected",
    ],
    [
      0x17,
      "attributes 0x17 with AUTHENTICATED_WRITE_ACCESS, which is withdrawn; TIME_BASED_AUTHENTICATED_WRITE_ACCESS (0x20) expected",
    ],
    [
      0x87,
      "attributes 0x87 with ENHANCED_AUTHENTICATED_ACCESS, which is not taken; TIME_BASED_AUTHENTICATED_WRITE_ACCESS (0x20) expected",
    ],
    [0x26, "attributes 0x26 of a volatile variable; NON_VOLATILE (0x1) expected"],
  ])("attributes 0x%x: refused", (attributes, reason) => {
    expect(read(attributes, "{}")).toEqual({ untrustedBytes: null, reason: `policy ${text}: ${reason}` });
  });

  it("empty: refused", () => {
    expect(read(0x27, "")).toEqual({ untrustedBytes: null, reason: `policy ${text}: it is empty` });
  });

  it("too large: refused", () => {
    expect(read(0x27, "x".repeat(65_532)).untrustedBytes).toHaveLength(65_532);
    expect(read(0x27, "x".repeat(65_533)).reason).toBe(
      `policy ${text}: read ${places.efiVariables}/Policy-${vendor}: at most 65536 bytes expected`,
    );
  });

  it("cut: refused", () => {
    writeFileSync(path.join(directory, `efi/Policy-${vendor}`), Uint8Array.of(0x27));
    expect(readPolicyDocument(parsePolicySource(text), places).reason).toBe(
      `policy ${text}: efi variable: offset 0, attributes: 4 byte(s) expected, the input ends at 1`,
    );
  });

  it("none", () => {
    const source = parsePolicySource(`efi:Other-${vendor}`);
    expect(readPolicyDocument(source, places)).toEqual({ untrustedBytes: null, reason: null });
    const nowhere = { efiVariables: "/nowhere", vpd: "/nowhere" };
    expect(readPolicyDocument(source, nowhere)).toEqual({ untrustedBytes: null, reason: null });
  });
});

describe("VPD", () => {
  const read = (text: string): ReturnType<typeof readPolicyDocument> =>
    readPolicyDocument(parsePolicySource(text), places);
  writeFileSync(path.join(directory, "vpd/ro/policy"), "read-only");
  writeFileSync(path.join(directory, "vpd/rw/policy"), "writable");
  writeFileSync(path.join(directory, "vpd/rw/empty"), "");
  writeFileSync(path.join(directory, "vpd/rw/large"), "x".repeat(65_533));

  it("each region's own value", () => {
    expect(read("vpd:ro/policy")).toEqual({ untrustedBytes: bytesOf("read-only"), reason: null });
    expect(read("vpd:rw/policy")).toEqual({ untrustedBytes: bytesOf("writable"), reason: null });
  });
  it("none", () => expect(read("vpd:ro/other")).toEqual({ untrustedBytes: null, reason: null }));
  it("empty: refused", () => expect(read("vpd:rw/empty").reason).toBe("policy vpd:rw/empty: it is empty"));
  it("too large: refused", () => {
    expect(read("vpd:rw/large").reason).toBe(
      `policy vpd:rw/large: read ${places.vpd}/rw/large: at most 65532 bytes expected`,
    );
  });
});
