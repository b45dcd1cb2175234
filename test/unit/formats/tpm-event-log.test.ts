import { describe, expect, it, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import {
  appendEvents,
  eventDataBytesMax,
  eventDataText,
  eventLogBytesMax,
  eventType,
  eventTypeName,
  type NewEvent,
  parseEventLog,
  replayEventLog,
  startValue,
  taggedEventData,
} from "../../../src/formats/tpm-event-log.ts";
import { type BankAlgorithm, bankAlgorithm, bankAlgorithmNamed, tpmBanks } from "../../../src/formats/tpm2.ts";
import { hashOfBank } from "../../../src/trust/measure.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { tpmLog, tpmLogPcrs } from "../../fakes/tpm-exchanges.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const algorithms = tpmBanks.flatMap((bank) => bankAlgorithmNamed(bank) ?? []);
const sha1 = bankAlgorithm(0x0004);
const sha256 = bankAlgorithm(0x000b);
const sm3 = bankAlgorithm(0x0012);

function event(pcr: number, data: string, banks: readonly BankAlgorithm[] = algorithms, type = 0x0d): NewEvent {
  const digests = banks.map((algorithm) => ({
    algorithm,
    digest: hashOfBank(algorithm, encode(data)) ?? new Uint8Array(algorithm.digestBytes ?? 0).fill(0xff),
  }));
  return { pcr, type, digests, data: encode(data) };
}

describe("logs of real firmware", () => {
  it.each([
    ["ovmf", "crypto-agile", "sha256"],
    ["seabios", "crypto-agile", "sha256"],
    ["seabios-1.2", "sha1", "sha1"],
  ] as const)("%s replays to what the kernel read", (name, form, bank) => {
    const log = parseEventLog(tpmLog(name));
    expect(log.form).toBe(form);
    expect(log.endOffset).toBe(tpmLog(name).length);
    const values = replayEventLog(log, hashOfBank).get(bank) ?? new Map<number, Uint8Array>();
    expect(values.size).toBeGreaterThan(7);
    const seen = tpmLogPcrs[name]?.[bank] ?? {};
    for (const [pcr, value] of values) expect(`${pcr} ${hex(value)}`).toBe(`${pcr} ${seen[String(pcr)]}`);
    // Nothing else was extended by the firmware; PCR 10 is Linux' own.
    for (let pcr = 0; pcr < 16; pcr++) {
      if (!values.has(pcr) && pcr !== 10) expect(Number.parseInt(seen[String(pcr)] ?? "", 16)).toBe(0);
    }
  });

  it("what an event says", () => {
    const lines = (name: Parameters<typeof tpmLog>[0]): string[] =>
      parseEventLog(tpmLog(name)).events.map(
        (each) => `${each.pcr} ${eventTypeName(each.type)} ${eventDataText(each)}`,
      );
    expect(lines("seabios-1.2")).toEqual(
      expect.arrayContaining(["2 EV_ACTION Start Option ROM Scan", "4 EV_ACTION Calling INT 19h"]),
    );
    expect(lines("ovmf")).toContain("5 EV_EFI_ACTION Exit Boot Services Invocation");
  });

  it("more room than events", () => {
    const bytes = tpmLog("ovmf");
    const roomy = new Uint8Array(65_536);
    roomy.set(bytes);
    expect(parseEventLog(roomy)).toEqual(parseEventLog(bytes));
    // An event whose data ends in zeroes keeps them.
    const zeroes = appendEvents(bytes, algorithms, [{ ...event(4, "x"), data: new Uint8Array(9) }]);
    expect(parseEventLog(zeroes).events.at(-1)?.data).toEqual(new Uint8Array(9));
    expect(parseEventLog(zeroes).endOffset).toBe(zeroes.length);
  });
});

describe("appendEvents", () => {
  const added = [event(8, "kernel_cmdline: ro\0"), event(9, "/vmlinuz\0")];

  it.each(["ovmf", "seabios", "seabios-1.2"] as const)("behind %s", (name) => {
    const before = parseEventLog(tpmLog(name));
    const after = appendEvents(tpmLog(name), [sha256], added);
    expect(after.subarray(0, before.endOffset)).toEqual(tpmLog(name));
    const parsed = parseEventLog(after);
    expect(parsed.form).toBe(before.form);
    expect(parsed.events.slice(0, -2)).toEqual(before.events);
    expect(parsed.events.slice(-2).map(({ pcr, type, data }) => ({ pcr, type, data }))).toEqual(
      added.map(({ pcr, type, data }) => ({ pcr, type, data })),
    );
    for (const { digests } of parsed.events.slice(-2)) {
      expect(digests.map(({ algorithm }) => algorithm.name)).toEqual(before.algorithms.map(({ name: bank }) => bank));
    }
  });

  it("a new log has the header of the specification (section 10.4.5.1)", () => {
    const log = appendEvents(null, [sha256, sm3], []);
    expect(hex(log)).toBe(
      [
        "00000000", // PCR 0
        "03000000", // EV_NO_ACTION
        "00".repeat(20),
        "25000000", // 37 bytes
        hex(encode("Spec ID Event03\0")),
        "00000000", // platformClass: client
        "00020002", // version 2.0, errata 0, UINTN of 64 bits
        "02000000",
        "0b002000",
        "12002000",
        "00", // no vendor information
      ].join(""),
    );
    expect(appendEvents(new Uint8Array(4096), [sha256, sm3], [])).toEqual(log);
  });

  it("an event is laid out as TCG_PCR_EVENT2 (section 10.2.2)", () => {
    const log = appendEvents(null, [sha1, sha256], [event(8, "abc")]);
    // FIPS 180's digests of "abc"
    expect(hex(log.subarray(32 + 37))).toBe(
      "080000000d00000002000000" +
        "0400a9993e364706816aba3e25717850c26c9cd0d89d" +
        "0b00ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" +
        "03000000616263",
    );
  });

  const rows: readonly (readonly [name: string, act: () => unknown, message: string])[] = [
    [
      "a digest is missing",
      () => appendEvents(tpmLog("ovmf"), algorithms, [event(8, "x", [sha256])]),
      "tpm event log: event of PCR 8: a digest of sha1 expected, found none",
    ],
    [
      "a digest is short",
      () =>
        appendEvents(
          null,
          [sha256],
          [{ ...event(8, "x"), digests: [{ algorithm: sha256, digest: new Uint8Array(20) }] }],
        ),
      "tpm event log: event of PCR 8: a digest of sha256 expected, found one of 20 bytes",
    ],
    ["no bank", () => appendEvents(null, [], []), "tpm event log: 1 to 16 algorithms expected, not 0"],
    [
      "long data",
      () => appendEvents(null, [sha256], [{ ...event(8, "x"), data: new Uint8Array(eventDataBytesMax + 1) }]),
      "tpm event log: event of PCR 8: 4194305 bytes, at most 4194304 are written",
    ],
    [
      "a log that is none",
      () => appendEvents(encode("text"), [sha256], []),
      "tpm event log: offset 28, eventSize: 4 byte(s) expected, the input ends at 4",
    ],
  ];
  it.each(rows)("%s", (_name, act, message) => expect(formatErrorOf(act)).toBe(message));
});

describe("replay", () => {
  it("starts at zeroes, or ones, or the locality", () => {
    expect(hex(startValue(sha1, 8))).toBe("00".repeat(20));
    expect(hex(startValue(sha256, 17))).toBe("ff".repeat(32));
    expect(hex(startValue(sha256, 23))).toBe("00".repeat(32));
    expect(hex(startValue(sha1, 0, 3))).toBe(`${"00".repeat(19)}03`);
  });

  it("the event of the startup locality sets PCR 0 and is not extended (section 10.4.5.3)", () => {
    const locality = { ...event(0, "", algorithms, eventType.noAction), data: encode("StartupLocality\0\u0003") };
    const log = parseEventLog(appendEvents(null, [sha256], [locality, event(0, "a"), event(1, "a")]));
    const values = replayEventLog(log, hashOfBank).get("sha256");
    const digest = Buffer.from(hashOfBank(sha256, encode("a")) ?? []);
    const start = Buffer.alloc(32);
    expect(values?.get(1)).toEqual(hashOfBank(sha256, Buffer.concat([start, digest])));
    start[31] = 3;
    expect(values?.get(0)).toEqual(hashOfBank(sha256, Buffer.concat([start, digest])));
  });

  it("a bank that cannot be computed is left out", () => {
    const log = parseEventLog(appendEvents(null, [sha256, sm3], [event(8, "a", [sha256, sm3])]));
    expect([...replayEventLog(log, hashOfBank).keys()]).toEqual(["sha256"]);
  });
});

describe("what is refused", () => {
  const good = appendEvents(null, [sha1, sha256], [event(8, "abc")]);
  const at = 32 + 37;
  /** The good log with 32-bit words in other places. */
  const changed = (...words: readonly (readonly [offset: number, value: number])[]): Uint8Array => {
    const bytes = good.slice();
    for (const [offset, value] of words) new DataView(bytes.buffer).setUint32(offset, value, true);
    return bytes;
  };
  const rows: readonly (readonly [name: string, bytes: Uint8Array, message: string])[] = [
    ["too long", new Uint8Array(eventLogBytesMax + 1), "16777217 bytes, at most 16777216 are taken"],
    ["cut in the header", good.subarray(0, 40), "offset 32, event: 37 byte(s) expected, the input ends at 40"],
    [
      "cut in an event",
      good.subarray(0, -1),
      `offset ${at + 72}, event: 3 byte(s) expected, the input ends at ${good.length - 1}`,
    ],
    ["a PCR too many", changed([at, 24]), `offset ${at}, pcrIndex: 24: 0 to 23 expected`],
    ["more digests than algorithms", changed([at + 8, 3]), `offset ${at + 8}, digests.count: 2 expected, not 3`],
    ["fewer", changed([at + 8, 1]), `offset ${at + 8}, digests.count: 2 expected, not 1`],
    [
      "an algorithm that the header has not",
      changed([at + 12, 0xa9990012]),
      `offset ${at + 12}, hashAlg: sm3_256: each algorithm of the header once expected`,
    ],
    [
      "an algorithm twice",
      changed([at + 34, 0x78ba0004]),
      `offset ${at + 34}, hashAlg: sha1: each algorithm of the header once expected`,
    ],
    [
      "much data",
      changed([at + 68, eventDataBytesMax + 1]),
      `offset ${at + 68}, eventSize: 4194305 bytes, at most 4194304 are taken`,
    ],
    ["no algorithm", changed([56, 0]), "offset 56, numberOfAlgorithms: 0: 1 to 16 expected"],
    ["many algorithms", changed([56, 17]), "offset 56, numberOfAlgorithms: 17: 1 to 16 expected"],
    ["a digest of another size", changed([60, 0x00200004]), "offset 62, digestSize: 32 bytes of sha1, 20 expected"],
    ["no digest", changed([60, 0x00001234]), "offset 62, digestSize: 0 bytes of 0x1234, some expected"],
    ["an algorithm twice in the header", changed([64, 0x00140004]), "offset 64, algorithmId: sha1 stands there twice"],
    ["vendor information that is not there", changed([68, 0x05]), "offset 28, eventSize: 42 bytes expected, not 37"],
  ];
  it.each(rows)("%s", (_name, bytes, message) =>
    expect(formatErrorOf(() => parseEventLog(bytes))).toBe(`tpm event log: ${message}`),
  );

  it("an algorithm that nobody knows is as long as the header says", () => {
    const unknown: BankAlgorithm = { id: 0x1234, name: "0x1234", digestBytes: 5 };
    const log = appendEvents(null, [sha256, unknown], [event(8, "a", [sha256, unknown])]);
    expect(parseEventLog(log).algorithms).toEqual([sha256, unknown]);
    expect(parseEventLog(log).events[0]?.digests[1]?.digest).toEqual(new Uint8Array(5).fill(0xff));
  });

  it("nothing is a log without events", () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(100)]) {
      expect(parseEventLog(bytes)).toMatchObject({ form: "sha1", events: [], endOffset: 0 });
    }
  });
});

describe("eventDataText", () => {
  const shown = (data: Uint8Array, type: number = eventType.ipl): string => eventDataText({ data, type });
  const wide = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "utf16le"));
  test("text of one byte and of two", () => {
    expect(shown(encode("kernel_cmdline: ro\0"))).toBe("kernel_cmdline: ro");
    expect(shown(wide("Credentials initrd\0"))).toBe("Credentials initrd");
    expect(shown(taggedEventData(0x13aed6db, wide("2\0")), eventType.eventTag)).toBe("2");
    expect(shown(new Uint8Array(0))).toBe("");
  });
  test("bytes", () => {
    expect(shown(Uint8Array.of(1, 2, 255))).toBe("0102ff");
    expect(shown(new Uint8Array(60).fill(7))).toBe(`${"07".repeat(50)}… (60 bytes)`);
    // No control character of a hostile log gets through.
    expect(shown(encode("a\u001b[2Jb"))).toBe("611b5b324a62");
  });
  test("long text is cut", () => {
    expect(shown(encode("x".repeat(5000)))).toBe(`${"x".repeat(200)}…`);
    expect(shown(wide("y".repeat(5000)))).toBe(`${"y".repeat(200)}…`);
  });
});

test("names of types", () => {
  expect([0x0d, 0x03, 0x80000003, 0x999].map(eventTypeName)).toEqual([
    "EV_IPL",
    "EV_NO_ACTION",
    "EV_EFI_BOOT_SERVICES_APPLICATION",
    "0x999",
  ]);
});

test("hostile logs", () => {
  for (const name of ["seabios-1.2", "seabios"] as const) {
    tortureParser({ bytes: tpmLog(name), parse: parseEventLog, rounds: 1500, seed: 7 });
  }
  tortureParser({ bytes: tpmLog("ovmf"), parse: parseEventLog, rounds: 1500, seed: 8, within: 1500 });
});
