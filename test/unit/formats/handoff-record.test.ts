import { describe, expect, it } from "vitest";
import {
  type HandoffRecord,
  handoffRecordBytesMax,
  handoffRollbackDepthMax,
  handoffSignersMax,
  handoffTextCharactersMax,
  parseHandoffRecord,
  writeHandoffRecord,
} from "../../../src/formats/handoff-record.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

/** Written by hand from docs/handoff-record.md. */
const text = `{
  "version": 1,
  "slipway": "0.1.0",
  "entry": {"id": "vda1:bls1:acme", "title": "Acme OS \\u00fc", "format": "bls1", "volume": "vda1"},
  "trust": {"mode": "enforce", "by": ["release", "lab"], "product": "acme-os", "manifestVersion": 7},
  "rollback": {"store": "tpm", "products": [{"product": "acme-os", "nvIndex": 25165825}]},
  "measured": true,
  "commandLine": "root=/dev/vda2 name=\\"a b\\""
}
`;
const record: HandoffRecord = {
  version: 1,
  slipway: "0.1.0",
  entry: { id: "vda1:bls1:acme", title: "Acme OS ü", format: "bls1", volume: "vda1" },
  trust: { mode: "enforce", by: ["release", "lab"], product: "acme-os", manifestVersion: 7 },
  rollback: { store: "tpm", products: [{ product: "acme-os", nvIndex: 25165825 }] },
  measured: true,
  commandLine: 'root=/dev/vda2 name="a b"',
};

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
/** The record with fields exchanged; undefined: left out. */
const changed = (own: Readonly<Record<string, unknown>>): Uint8Array => bytesOf({ ...record, ...own });

describe("a record that was written by hand", () => {
  it("is read", () => expect(parseHandoffRecord(new TextEncoder().encode(text))).toEqual(record));
  it("fields of a later time are left out", () =>
    expect(
      parseHandoffRecord(changed({ more: [1], entry: { ...record.entry, submenu: [] }, __proto__: { a: 1 } })),
    ).toEqual(record));
  it("without a manifest, a store and a signature", () => {
    const trust = { mode: "off", by: [], product: null, manifestVersion: null };
    expect(parseHandoffRecord(changed({ trust, rollback: null, measured: false }))).toEqual({
      ...record,
      trust,
      rollback: null,
      measured: false,
    });
  });
});

describe("what is no record", () => {
  const refuses = (bytes: Uint8Array | string, reason: string): void => {
    const input = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    expect(formatErrorOf(() => parseHandoffRecord(input))).toBe(`handoff record: ${reason}`);
  };
  const trust = (own: object): Uint8Array => changed({ trust: { ...record.trust, ...own } });
  it("another version", () => refuses(changed({ version: 2 }), "version: 2, 1 expected"));
  it("no version", () =>
    refuses(changed({ version: undefined }), "version: missing, a whole number from 0 to 9007199254740991 expected"));
  it("a list", () => refuses("[]", "a list, an object expected"));
  it("nothing", () =>
    expect(formatErrorOf(() => parseHandoffRecord(new Uint8Array(0)))).toMatch(/^handoff record: JSON expected: /));
  it("bytes that are no text", () => refuses(Uint8Array.of(0xff), "text in UTF-8 expected"));
  it("an entry that is none", () => refuses(changed({ entry: "x" }), 'entry: "x", an object expected'));
  it("an entry without an id", () =>
    refuses(changed({ entry: { ...record.entry, id: undefined } }), "entry.id: missing, text expected"));
  it("a number for a title", () =>
    refuses(changed({ entry: { ...record.entry, title: 3 } }), "entry.title: 3, text expected"));
  it("an unknown mode", () =>
    refuses(trust({ mode: "lax" }), 'trust.mode: "lax", one of "enforce", "audit", "off" expected'));
  it("keys that are no list", () => refuses(trust({ by: "a" }), 'trust.by: "a", a list expected'));
  it("a key that is no text", () =>
    refuses(trust({ by: ["a", 1] }), `trust.by[1]: text of at most ${handoffTextCharactersMax} characters expected`));
  it("a version below 0", () =>
    refuses(
      trust({ manifestVersion: -1 }),
      "trust.manifestVersion: -1, a whole number from 0 to 9007199254740991 expected",
    ));
  it("a version that is no whole number", () =>
    refuses(
      trust({ manifestVersion: 1.5 }),
      "trust.manifestVersion: 1.5, a whole number from 0 to 9007199254740991 expected",
    ));
  it("a product that is no text", () => refuses(trust({ product: 1 }), "trust.product: 1, text expected"));
  it("measured, perhaps", () => refuses(changed({ measured: 1 }), "measured: true or false expected"));
  it("rollback settings that are a list", () => refuses(changed({ rollback: [] }), "rollback: an object expected"));
});

describe("limits", () => {
  const nested = (levels: number): unknown => (levels === 0 ? {} : { a: nested(levels - 1) });
  const reasonOf = (own: Readonly<Record<string, unknown>>): string | null =>
    formatErrorOf(() => parseHandoffRecord(changed(own)));
  it("levels of the rollback settings", () => {
    expect(reasonOf({ rollback: nested(handoffRollbackDepthMax - 1) })).toBeNull();
    expect(reasonOf({ rollback: nested(handoffRollbackDepthMax) })).toBe(
      "handoff record: rollback: at most 8 levels expected",
    );
  });
  it("levels that would exhaust a stack", () => {
    const deep = `{"version":1,"rollback":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    expect(formatErrorOf(() => parseHandoffRecord(new TextEncoder().encode(deep)))).not.toBeNull();
    const whole = text.replace(/\{"store".*\}/, `${"[".repeat(100_000)}${"]".repeat(100_000)}`);
    expect(formatErrorOf(() => parseHandoffRecord(new TextEncoder().encode(whole)))).toBe(
      "handoff record: rollback: at most 8 levels expected",
    );
  });
  it("keys", () => {
    const by = (count: number): object => ({ trust: { ...record.trust, by: Array(count).fill("k") } });
    expect(reasonOf({ ...by(handoffSignersMax) })).toBeNull();
    expect(reasonOf({ ...by(handoffSignersMax + 1) })).toBe("handoff record: trust.by: 65 items, at most 64 are taken");
  });
  it("texts", () => {
    expect(reasonOf({ slipway: "x".repeat(handoffTextCharactersMax) })).toBeNull();
    expect(reasonOf({ slipway: "x".repeat(handoffTextCharactersMax + 1) })).toBe(
      "handoff record: slipway: 4097 characters, at most 4096 are taken",
    );
    expect(reasonOf({ commandLine: "x".repeat(100_000) })).toBeNull();
  });
  it("the whole", () =>
    expect(formatErrorOf(() => parseHandoffRecord(new Uint8Array(handoffRecordBytesMax + 1)))).toBe(
      "handoff record: 262145 bytes, at most 262144 are taken",
    ));
});

describe("writeHandoffRecord", () => {
  const written = (own: Partial<HandoffRecord> = {}): Uint8Array => writeHandoffRecord({ ...record, ...own });
  it("one line, in the order of the paper", () =>
    expect(new TextDecoder().decode(written())).toBe(`${JSON.stringify(JSON.parse(text))}\n`));
  it("what is written is read", () => expect(parseHandoffRecord(written())).toEqual(record));
  it("hostile text comes out as it went in", () => {
    const title = 'x"\\\n\0</script>\u{1f600}';
    expect(parseHandoffRecord(written({ entry: { ...record.entry, title } })).entry.title).toBe(title);
  });
  it("a long title is cut", () =>
    expect(parseHandoffRecord(written({ entry: { ...record.entry, title: "t".repeat(5000) } })).entry.title).toBe(
      "t".repeat(handoffTextCharactersMax),
    ));
  it("a long id is refused", () =>
    expect(formatErrorOf(() => written({ entry: { ...record.entry, id: "i".repeat(5000) } }))).toBe(
      "handoff record: entry.id: 5000 characters, at most 4096 are taken",
    ));
  it("and a whole that is too long", () =>
    expect(formatErrorOf(() => written({ commandLine: "\u0001".repeat(50_000) }))).toMatch(
      /^handoff record: \d+ bytes, at most 262144 are handed over$/,
    ));
});

it("survives whatever it is given", () =>
  tortureParser({ bytes: new TextEncoder().encode(text), parse: parseHandoffRecord, rounds: 2000, seed: 5 }));
