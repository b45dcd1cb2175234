import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import { bankAlgorithm, nvAttribute } from "../../../src/formats/tpm2.ts";
import { openTpm, openTpmOver, readShownPcrs, type Tpm, TpmError, tpmAttemptsMax } from "../../../src/machine/tpm.ts";
import { banksAnswer, scriptedTpm, type TpmAnswer, tpmAnswer } from "../../fakes/tpm.ts";

/* test/vm/tpm.test.ts asks a TPM in software. */

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-tpm-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const banks = banksAnswer(0x000b);
const index = 0x01800001;
const digest = [{ algorithm: bankAlgorithm(0x000b), digest: new Uint8Array(32) }];

/** A TPM that answers so after it was opened. */
async function opened(
  ...answers: readonly TpmAnswer[]
): Promise<{ tpm: Tpm; transport: ReturnType<typeof scriptedTpm> }> {
  const transport = scriptedTpm([banks, ...answers]);
  return { tpm: await openTpmOver(transport, 0.05), transport };
}

async function errorOf(work: Promise<unknown>): Promise<TpmError> {
  const error = await work.then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TpmError)) throw error;
  return error;
}

describe("opening", () => {
  it("null where there is no device", async () => {
    expect(await openTpm(path.join(scratch, "none"))).toBeNull();
    writeFileSync(path.join(scratch, "file"), "");
    expect(await openTpm(path.join(scratch, "file/none"))).toBeNull();
  });

  it("what is no TPM does not answer as one", async () => {
    const file = path.join(scratch, "plain");
    writeFileSync(file, "");
    // What was written is read back from the file's end: nothing.
    expect((await errorOf(openTpm(file))).message).toBe(
      "GetCapability banks: tpm2: offset 0, tag: 2 byte(s) expected, the input ends at 0",
    );
    mkdirSync(path.join(scratch, "directory"));
    expect((await errorOf(openTpm(path.join(scratch, "directory")))).message).toBe(
      `open ${JSON.stringify(path.join(scratch, "directory"))}: EISDIR`,
    );
  });

  it("the active banks, those that can be computed and those that cannot", async () => {
    await using tpm = await openTpmOver(scriptedTpm([banksAnswer(-0x0004, 0x000b, 0x000d, 0x0012, 0x1234)]));
    expect(tpm.activeBanks).toEqual(["sha256", "sha512"]);
    expect(tpm.foreignBanks.map(({ name, digestBytes }) => [name, digestBytes])).toEqual([
      ["sm3_256", 32],
      ["0x1234", null],
    ]);
  });

  it("one that cannot be opened is closed", async () => {
    const transport = scriptedTpm([tpmAnswer(0x101)]);
    const error = await errorOf(openTpmOver(transport));
    expect(error.message).toBe(
      "GetCapability banks: TPM_RC_FAILURE: the TPM failed its self-test and does nothing until it is reset",
    );
    expect(error.response).toBe("TPM_RC_FAILURE");
    expect(transport.closed()).toBe(1);
  });
});

describe("a TPM that is busy", () => {
  it("is asked again", async () => {
    const { tpm, transport } = await opened(
      tpmAnswer(0x922),
      tpmAnswer(0x90a),
      tpmAnswer(0x908),
      tpmAnswer(0x920),
      tpmAnswer(0),
    );
    await tpm.extend(8, digest);
    expect(new Set(transport.asked.slice(1)).size).toBe(1);
    expect(transport.asked).toHaveLength(6);
  });

  it("but not for ever", async () => {
    vi.useFakeTimers();
    try {
      const transport = scriptedTpm([banks, ...Array.from({ length: 50 }, () => tpmAnswer(0x922))]);
      const tpm = await openTpmOver(transport);
      const refused = errorOf(tpm.extend(8, digest));
      await vi.advanceTimersByTimeAsync(60_000);
      expect((await refused).message).toBe(
        `PCR_Extend PCR 8: TPM_RC_RETRY: the TPM could not start the command, after ${tpmAttemptsMax} attempts`,
      );
      expect(transport.asked).toHaveLength(1 + tpmAttemptsMax);
    } finally {
      vi.useRealTimers();
    }
  });

  it("what is not temporary is not asked again", async () => {
    const { tpm, transport } = await opened(tpmAnswer(0x921));
    expect((await errorOf(tpm.nvIncrement(index))).message).toBe(
      "NV_Increment NV index 0x1800001: TPM_RC_LOCKOUT: too many wrong authorisation values were given: the TPM is locked out",
    );
    expect(transport.asked).toHaveLength(2);
  });
});

describe("a TPM that is broken", () => {
  it("one that does not answer costs the deadline once, and nothing after that", async () => {
    const { tpm, transport } = await opened("never", tpmAnswer(0));
    expect((await errorOf(tpm.extend(8, digest))).message).toBe("PCR_Extend PCR 8: no answer within 0.05 s");
    expect((await errorOf(tpm.extend(9, digest))).message).toBe(
      "PCR_Extend PCR 9: the TPM is not asked any more (PCR_Extend PCR 8: no answer within 0.05 s)",
    );
    expect(transport.asked).toHaveLength(2);
    await tpm.close();
    expect(transport.closed()).toBe(1);
  });

  it.each([
    ["a failing device", new Error("EIO: i/o error, write"), "PCR_Extend PCR 8: EIO: i/o error, write"],
    ["an answer that is none", "80", "PCR_Extend PCR 8: tpm2: offset 0, tag: 2 byte(s) expected, the input ends at 1"],
    [
      "the answer of another",
      `${tpmAnswer(0)}00`,
      "PCR_Extend PCR 8: tpm2: offset 2, responseSize: 10: 11 expected, as many bytes as there are",
    ],
  ] as const)("%s", async (_name, answer, message) => {
    const { tpm } = await opened(answer);
    expect((await errorOf(tpm.extend(8, digest))).message).toBe(message);
    expect((await errorOf(tpm.extend(8, digest))).message).toBe(
      `PCR_Extend PCR 8: the TPM is not asked any more (${message})`,
    );
  });

  it("an answer to the wrong question costs itself alone", async () => {
    const { tpm } = await opened(tpmAnswer(0, "00"), tpmAnswer(0));
    const error = await errorOf(tpm.readPcrs("sha256", [8]));
    expect(error.message).toMatch(/^PCR_Read PCRs of sha256: tpm2: offset 4, pcrSelectionOut: 4 byte\(s\) expected/);
    expect(error.response).toBeNull();
    await tpm.extend(8, digest);
  });

  it("a closed one", async () => {
    const { tpm, transport } = await opened();
    await tpm.close();
    await tpm.close();
    expect(transport.closed()).toBe(1);
    expect((await errorOf(tpm.extend(8, digest))).message).toBe("PCR_Extend PCR 8: the TPM was closed");
  });
});

it("commands wait for one another", async () => {
  const { tpm, transport } = await opened(tpmAnswer(0), tpmAnswer(0x922), tpmAnswer(0), tpmAnswer(0));
  await Promise.all([tpm.extend(8, digest), tpm.extend(9, digest), tpm.extend(11, digest)]);
  // The PCR is the handle, at byte 10.
  expect(transport.asked.slice(1).map((command) => Number.parseInt(command.slice(20, 28), 16))).toEqual([8, 9, 9, 11]);
});

describe("PCR values", () => {
  const values = (pcr: number, value: number): string => {
    const selected = new Uint8Array(3);
    selected[pcr >> 3] = 1 << (pcr & 7);
    return tpmAnswer(
      0,
      `0000000000000001000b03${hex(selected)}00000001${"0020"}${value.toString(16).padStart(2, "0").repeat(32)}`,
    );
  };
  it("are asked for until all are there", async () => {
    const { tpm, transport } = await opened(values(9, 0x99), values(8, 0x88));
    const found = await tpm.readPcrs("sha256", [8, 9]);
    expect([...found].map(([pcr, value]) => [pcr, value[0]])).toEqual([
      [9, 0x99],
      [8, 0x88],
    ]);
    expect(transport.asked).toHaveLength(3);
  });
  it("those that the bank does not have are left out", async () => {
    const { tpm } = await opened(values(9, 0x99), tpmAnswer(0, "0000000000000001000b0300000000000000"));
    expect([...(await tpm.readPcrs("sha256", [8, 9])).keys()]).toEqual([9]);
  });
});

describe("NV memory", () => {
  const area = (attributes: number, size: number): string => {
    const fields = `${index.toString(16).padStart(8, "0")}000b${attributes.toString(16).padStart(8, "0")}0000${size.toString(16).padStart(4, "0")}`;
    return tpmAnswer(0, `000e${fields}0002000b`);
  };
  const written = nvAttribute.written | nvAttribute.authRead;

  it("an index that is not defined, or never written, has nothing", async () => {
    const { tpm } = await opened(tpmAnswer(0x18b), tpmAnswer(0x18b), tpmAnswer(0x910), area(nvAttribute.authRead, 8));
    expect(await tpm.nvPublic(index)).toBeNull();
    expect(await tpm.nvRead(index)).toBeNull();
    expect(await tpm.nvReadCounter(index)).toBeNull();
    expect(await tpm.nvRead(index)).toBeNull();
  });
  it("other refusals are not taken for that", async () => {
    const { tpm } = await opened(tpmAnswer(0x101));
    expect((await errorOf(tpm.nvPublic(index))).response).toBe("TPM_RC_FAILURE");
  });
  it("a counter is a number of 64 bits", async () => {
    const { tpm } = await opened(area(written, 8), tpmAnswer(0, "0008fedcba9876543210"));
    expect(await tpm.nvReadCounter(index)).toBe(0xfedc_ba98_7654_3210n);
  });
  it("what is not as long as a counter is none", async () => {
    const { tpm } = await opened(area(written, 4), tpmAnswer(0, "000400000001"));
    expect((await errorOf(tpm.nvReadCounter(index))).message).toBe("NV index 0x1800001: a counter of 8 bytes expected");
  });
  it("long content is read in parts", async () => {
    const part = (length: number, byte: string): string =>
      tpmAnswer(0, length.toString(16).padStart(4, "0") + byte.repeat(length));
    const { tpm } = await opened(area(written, 600), part(512, "aa"), part(88, "bb"));
    const bytes = await tpm.nvRead(index);
    expect([bytes?.length, bytes?.[511], bytes?.[512]]).toEqual([600, 0xaa, 0xbb]);
  });
});

describe("what the kernel shows", () => {
  const sysfs = (files: Readonly<Record<string, string>>): string => {
    const directory = mkdtempSync(path.join(scratch, "sysfs-"));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
      writeFileSync(path.join(directory, name), text);
    }
    return directory;
  };
  it("values of the banks that there are", () => {
    const directory = sysfs({ "pcr-sha256/8": `${"AB".repeat(32)}\n`, "pcr-sha256/23": `${"00".repeat(32)}\n` });
    const values = readShownPcrs(["sha1", "sha256"], directory);
    expect([...(values?.keys() ?? [])]).toEqual(["sha256"]);
    expect([...(values?.get("sha256")?.keys() ?? [])]).toEqual([8, 23]);
    expect(hex(values?.get("sha256")?.get(8) ?? new Uint8Array())).toBe("ab".repeat(32));
  });
  it("nothing", () => expect(readShownPcrs(["sha256"], path.join(scratch, "none"))).toBeNull());
  it("what is no value is refused", () => {
    const directory = sysfs({ "pcr-sha256/0": "what\n" });
    expect(() => readShownPcrs(["sha256"], directory)).toThrow(
      new TpmError(`read ${directory}/pcr-sha256/0: a value in hexadecimal expected`),
    );
  });
});
