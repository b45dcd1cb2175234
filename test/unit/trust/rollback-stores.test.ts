import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import type { FileSource } from "../../../src/discovery/source.ts";
import type { EfiVariable } from "../../../src/formats/efi-variable.ts";
import { writeRollbackMinimums } from "../../../src/formats/rollback-minimums.ts";
import { judgeRollback, type RollbackVerdict, readRollbackSettings } from "../../../src/trust/rollback.ts";
import type { RollbackFiles } from "../../../src/trust/rollback-files.ts";
import {
  openRollbackStore,
  type ProvisionOptions,
  type RollbackDevices,
  type RollbackStore,
  readingDevices,
  readKeptMinimum,
  readKeptMinimums,
  rollbackVariable,
} from "../../../src/trust/rollback-stores.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { type Swtpm, startSwtpm } from "../../vm/swtpm.ts";

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Devices of which nothing is expected but what is given. */
function devicesWith(own: Partial<RollbackDevices>): RollbackDevices {
  const refuse = (what: string) => (): never => {
    throw new Error(`${what} was not expected`);
  };
  return {
    tpm: refuse("the TPM"),
    readVariable: refuse("reading a variable"),
    writeVariable: refuse("writing a variable"),
    files: { read: refuse("reading a file"), write: refuse("writing a file") },
    ...own,
  };
}

function storeOf(settings: unknown, devices: Partial<RollbackDevices>): RollbackStore {
  const store = openRollbackStore(readRollbackSettings(settings, "test"), devicesWith(devices));
  if (store === null) throw new Error("a store expected");
  return store;
}

const plain: ProvisionOptions = { ownerAuth: new Uint8Array(0), raisedBy: "anyone", replace: false };

it("no store", () => {
  expect(openRollbackStore(readRollbackSettings({}, "test"), devicesWith({}))).toBeNull();
});

describe("what is kept", () => {
  const kept = async (settings: object, devices: Partial<RollbackDevices>): Promise<unknown> => {
    const products = [{ name: "acme-os" }];
    const read = readRollbackSettings({ ...settings, products }, "test");
    return Object.fromEntries(await readKeptMinimums(read, devicesWith(devices)));
  };
  const where = "EFI variable SlipwayRollback";
  it("nothing without a store", async () => expect(await kept({}, {})).toEqual({}));
  it("what the store says", async () =>
    expect(await kept({ store: "efi" }, { readVariable: () => null })).toEqual({
      "acme-os": { where, minimum: null, problem: null },
    }));
  it("what is wrong with it", async () =>
    expect(await kept({ store: "efi" }, {})).toEqual({
      "acme-os": { where, minimum: null, problem: "reading a variable was not expected" },
    }));
});

describe("where entries are judged", () => {
  const settings = { store: "file", volume: "label=ESP", path: "/minimums", products: [{ name: "acme-os" }] };
  const bytes = writeRollbackMinimums(new Map([["acme-os", 2]]));
  const noTpm = async (): Promise<null> => null;
  const check = async (product: string, version: number, sources: readonly FileSource[]): Promise<RollbackVerdict> => {
    const read = readRollbackSettings(settings, "test");
    const kept = await readKeptMinimums(read, readingDevices(noTpm, sources));
    return judgeRollback(read, { product, version }, kept.get(product) ?? null);
  };
  const esp = memorySource("vda1", { "/minimums": bytes }, { label: "ESP" });

  it("the minimum of a volume's file holds", async () => {
    expect(await check("acme-os", 2, [esp])).toEqual({ reason: null, warning: null });
    expect((await check("acme-os", 1, [esp])).reason).toBe(
      'version 1 of "acme-os", at least 2 expected (file "/minimums" on label=ESP)',
    );
  });
  it("what cannot be read refuses", async () => {
    expect((await check("acme-os", 2, [])).reason).toBe(
      'the minimum version of "acme-os" cannot be read from file "/minimums" on label=ESP: no volume with "label=ESP" is there',
    );
    const broken = memorySource("vda1", { "/minimums": "x" }, { label: "ESP" });
    expect((await check("acme-os", 2, [broken])).reason).toMatch(/label=ESP: rollback minimums: JSON expected: /);
  });
  it("nothing is written", async () => {
    const devices = readingDevices(noTpm, [esp]);
    const efi = openRollbackStore(readRollbackSettings({ store: "efi" }, "test"), {
      ...devices,
      readVariable: () => null,
    });
    await expect(efi?.raise("acme-os", 1)).rejects.toThrow(
      "write EFI variable SlipwayRollback: the boot loader only reads it",
    );
  });
});

describe("an EFI variable", () => {
  const variables = (
    first: EfiVariable | null,
  ): { devices: Partial<RollbackDevices>; now: () => EfiVariable | null } => {
    let value = first;
    const check = (name: string, vendor: string): void => expect({ name, vendor }).toEqual(rollbackVariable);
    return {
      devices: {
        readVariable(name, vendor) {
          check(name, vendor);
          return value;
        },
        writeVariable(name, vendor, variable) {
          check(name, vendor);
          value = variable;
        },
      },
      now: () => value,
    };
  };
  const settings = { store: "efi", products: [{ name: "acme-os" }] };

  it("keeps none at first, begins, is raised and never lowered; other products stay", async () => {
    const { devices, now } = variables({ attributes: 7, data: writeRollbackMinimums(new Map([["other", 9]])) });
    const store = storeOf(settings, devices);
    expect(await store.minimum("acme-os")).toBeNull();
    await store.provision("acme-os", 0, plain);
    expect(await store.minimum("acme-os")).toBe(0);
    expect(await store.raise("acme-os", 2)).toBe(2);
    expect(await store.raise("acme-os", 1)).toBe(2);
    expect(now()?.attributes).toBe(7);
    expect(textOf(now()?.data ?? new Uint8Array(0))).toBe(
      '{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":2},{"name":"other","minimum":9}]}\n',
    );
  });

  it("raising begins it, version 0 too", async () => {
    const { devices } = variables(null);
    const store = storeOf(settings, devices);
    expect(await store.raise("acme-os", 0)).toBe(0);
    expect(await store.minimum("acme-os")).toBe(0);
  });

  it("begins once, unless it is replaced", async () => {
    const { devices } = variables(null);
    const store = storeOf(settings, devices);
    await store.provision("acme-os", 5, plain);
    await expect(store.provision("acme-os", 1, plain)).rejects.toThrow(
      'EFI variable SlipwayRollback keeps 5 for "acme-os"; "--replace" sets another minimum',
    );
    await store.provision("acme-os", 1, { ...plain, replace: true });
    expect(await store.minimum("acme-os")).toBe(1);
  });

  it("with other attributes it is not believed", async () => {
    const store = storeOf(settings, variables({ attributes: 6, data: bytesOf("{}") }).devices);
    await expect(store.minimum("acme-os")).rejects.toThrow("attributes 0x6, 0x7 expected");
  });

  it("what is broken is not overwritten", async () => {
    const { devices, now } = variables({ attributes: 7, data: bytesOf("{}") });
    await expect(storeOf(settings, devices).raise("acme-os", 3)).rejects.toThrow(
      /^rollback minimums: slipwayRollback: /,
    );
    expect(textOf(now()?.data ?? new Uint8Array(0))).toBe("{}");
  });
});

describe("a file", () => {
  const settings = {
    store: "file",
    volume: "uuid=1234-ABCD",
    path: "/slipway/minimums",
    products: [{ name: "acme-os" }],
  };
  const files = (contents: Uint8Array[]): RollbackFiles => ({
    async read(volume, file, bytesMax) {
      expect([volume, file, bytesMax]).toEqual(["uuid=1234-ABCD", "/slipway/minimums", 32_768]);
      return contents;
    },
    async write(volume, file, bytes) {
      expect([volume, file]).toEqual(["uuid=1234-ABCD", "/slipway/minimums"]);
      contents.splice(0, contents.length, bytes);
    },
  });

  it("keeps none at first, is raised and read again", async () => {
    const contents: Uint8Array[] = [];
    const store = storeOf(settings, { files: files(contents) });
    expect(store.describe("acme-os")).toBe('file "/slipway/minimums" on uuid=1234-ABCD');
    expect(await store.minimum("acme-os")).toBeNull();
    expect(await store.raise("acme-os", 4)).toBe(4);
    expect(await store.minimum("acme-os")).toBe(4);
    expect(contents.map(textOf)).toEqual(['{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":4}]}\n']);
  });

  it("of several the highest holds", async () => {
    const contents = [3, 8, 5].map((minimum) => writeRollbackMinimums(new Map([["acme-os", minimum]])));
    expect(await storeOf(settings, { files: files(contents) }).minimum("acme-os")).toBe(8);
  });
});

describe("a TPM", () => {
  const index = "0x1800010";
  const base = "0x1800011";
  const settings = { store: "tpm", products: [{ name: "acme-os", nvIndex: 0x0180_0010 }] };
  let swtpm: Swtpm;
  beforeAll(async () => {
    swtpm = await startSwtpm({ for: "socket" });
  });
  afterAll(() => swtpm[Symbol.asyncDispose]());

  /** Works on the store; the TPM is free for tpm2-tools again when it resolves. */
  async function on<T>(work: (store: RollbackStore) => Promise<T>, own: unknown = settings): Promise<T> {
    await using tpm = await swtpm.open();
    return await work(storeOf(own, { tpm: async () => tpm }));
  }
  const minimum = (): Promise<number | null> => on((store) => store.minimum("acme-os"));
  const provision = (start: number, options: Partial<ProvisionOptions> = {}): Promise<void> =>
    on((store) => store.provision("acme-os", start, { ...plain, ...options }));
  const counter = async (): Promise<number> => Number(`0x${await hexOf(index)}`);
  const hexOf = async (which: string): Promise<string> => {
    const dump = await swtpm.tool("sh", "-c", `tpm2_nvread -C ${which} ${which} | od -An -v -tx1`);
    return dump.replace(/\s/g, "");
  };
  /** A base of the counter as it was made, but for what `attributes` says. */
  async function forgeBase(content: string, attributes: string, lock: boolean): Promise<void> {
    await swtpm.tool("tpm2_nvundefine", "-C", "o", base);
    await swtpm.tool("tpm2_nvdefine", "-C", "o", "-s", `${content.length / 2}`, "-a", attributes, base);
    const octal = content.replace(/../g, (digits) => `\\${Number.parseInt(digits, 16).toString(8).padStart(3, "0")}`);
    await swtpm.tool("sh", "-c", `printf '${octal}' | tpm2_nvwrite -C ${base} -i - ${base}`);
    if (lock) await swtpm.tool("tpm2_nvwritelock", "-C", base, base);
  }
  const asMade = "authwrite|authread|writedefine|no_da";
  // SHA-256 of "acme-os" (sha256sum).
  const digest = "d9dec35b5cd3b877695a3f5b56f268e21d75a00cd66f78d97853b1d6aae79f0d";

  it("nothing is kept where no index is defined", async () => {
    expect(await minimum()).toBeNull();
    await expect(on((store) => store.raise("acme-os", 1))).rejects.toThrow(
      'TPM counter 0x01800010 is not there; "slipway rollback init" makes it',
    );
  });

  it("begins, is counted up to the version, and never down", async () => {
    await provision(0);
    expect(await minimum()).toBe(0);
    const start = await counter();
    expect(await hexOf(base)).toBe(start.toString(16).padStart(16, "0") + digest);
    expect(await on((store) => store.raise("acme-os", 3))).toBe(3);
    expect(await counter()).toBe(start + 3);
    expect(await on((store) => store.raise("acme-os", 2))).toBe(3);
    expect(await counter()).toBe(start + 3);
    expect(await minimum()).toBe(3);
  });

  it("is what tpm2-tools say it is", async () => {
    const attributes = async (which: string): Promise<string | undefined> => {
      const shown = await swtpm.tool("tpm2_nvreadpublic", which);
      return /attributes:\s+friendly: (.*)/.exec(shown)?.[1]?.split("|").sort().join(" ");
    };
    expect(await attributes(index)).toBe("authread authwrite no_da nt=0x1 ownerread written");
    expect(await attributes(base)).toBe("authread authwrite no_da writedefine writelocked written");
    await expect(swtpm.tool("sh", "-c", `echo x | tpm2_nvwrite -C ${base} -i - ${base}`)).rejects.toThrow();
  });

  it("steps are bounded", async () => {
    const before = await counter();
    await expect(on((store) => store.raise("acme-os", 1004))).rejects.toThrow(
      'TPM counter 0x01800010: 1001 steps from 3 to 1004, at most 1000 expected; number versions one by one, or begin anew with "slipway rollback init --replace --minimum 1004"',
    );
    expect(await counter()).toBe(before);
  });

  it("what is there is replaced only when it is said; a new counter begins higher, its minimum as told", async () => {
    const before = await counter();
    await expect(provision(1)).rejects.toThrow(
      'NV index 0x01800010 is in use; "--replace" deletes it, or take another one',
    );
    await provision(7, { replace: true });
    expect(await counter()).toBe(before + 1);
    expect(await minimum()).toBe(7);
  });

  it("another product has another base", async () => {
    const other = { store: "tpm", products: [{ name: "other", nvIndex: 0x0180_0010 }] };
    await expect(on((store) => store.minimum("other"), other)).rejects.toThrow(
      'NV index 0x01800011 belongs to another product than "other"',
    );
    await expect(on((store) => store.minimum("third"), other)).rejects.toThrow(
      'no NV index is named for product "third"',
    );
  });

  it("a counter that was deleted and made anew refuses more, not less", async () => {
    await swtpm.tool("tpm2_nvundefine", "-C", "o", index);
    await expect(minimum()).rejects.toThrow("NV index 0x01800010 is not there, although its base is");
    await swtpm.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", "nt=counter|authread|authwrite|no_da", index);
    await expect(minimum()).rejects.toThrow("NV index 0x01800010 was never counted up");
    await swtpm.tool("tpm2_nvincrement", "-C", index, index);
    expect(await minimum()).toBe(8);
  });

  it("what is no counter is refused", async () => {
    await swtpm.tool("tpm2_nvundefine", "-C", "o", index);
    await swtpm.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", "authread|authwrite|no_da", index);
    await swtpm.tool("sh", "-c", `printf '\\0\\0\\0\\0\\0\\0\\0\\377' | tpm2_nvwrite -C ${index} -i - ${index}`);
    await expect(minimum()).rejects.toThrow("NV index 0x01800010 is no counter (attributes 0x22040004)");
    await provision(2, { replace: true });
  });

  const startOf = (value: number): string => BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, "0");
  test.each<[name: string, () => Promise<void>, reason: string]>([
    [
      "that is not locked",
      () => forgeBase(startOf(1) + digest, asMade, false),
      "NV index 0x01800011 with the base of the counter is not locked for ever (attributes 0x22042004)",
    ],
    [
      "that is locked until the TPM starts anew",
      () => forgeBase(startOf(1) + digest, "authwrite|authread|write_stclear|no_da", true),
      "NV index 0x01800011 with the base of the counter is not locked for ever (attributes 0x22044804)",
    ],
    [
      "of another size",
      () => forgeBase(startOf(1), asMade, true),
      "NV index 0x01800011 is no base of a counter (attributes 0x22042804, 8 bytes)",
    ],
    [
      "that is higher than the counter",
      async () => forgeBase(startOf((await counter()) + 1) + digest, asMade, true),
      "a minimum version expected as their difference",
    ],
    [
      "that is far below the counter",
      () => forgeBase(`8000000000000000${digest}`, asMade, true),
      "and its base -9223372036854775808: a minimum version expected as their difference",
    ],
    [
      "that is not there",
      async () => void (await swtpm.tool("tpm2_nvundefine", "-C", "o", base)),
      "NV index 0x01800011 with the base of the counter is not there",
    ],
  ])("a base %s is refused", async (_name, forge, reason) => {
    await forge();
    await expect(minimum()).rejects.toThrow(reason);
    await expect(on((store) => store.raise("acme-os", 100))).rejects.toThrow(reason);
    expect(await on((store) => readKeptMinimum(store, "acme-os"))).toMatchObject({ minimum: null });
  });

  it("a TPM that was cleared keeps nothing, and its counters still begin higher", async () => {
    const before = await counter();
    await swtpm.tool("tpm2_clear", "-c", "p");
    expect(await minimum()).toBeNull();
    await provision(1);
    expect(await counter()).toBe(before + 1);
  });

  it("with an owner's authorisation value: who may make, count up and delete", async () => {
    await swtpm.tool("tpm2_changeauth", "-c", "owner", "secret");
    const ownerAuth = bytesOf("secret");
    await expect(provision(0, { replace: true })).rejects.toThrow(
      /^NV_UndefineSpace NV index 0x1800010: TPM_RC_BAD_AUTH .*the authorisation value is wrong$/,
    );
    await provision(0, { replace: true, ownerAuth, raisedBy: "owner" });
    expect(await minimum()).toBe(0);
    await expect(on((store) => store.raise("acme-os", 1))).rejects.toThrow(/TPM_RC_BAD_AUTH/);
    await expect(swtpm.tool("tpm2_nvincrement", "-C", index, index)).rejects.toThrow();
    expect(await on((store) => store.raise("acme-os", 1, ownerAuth))).toBe(1);
    expect(await minimum()).toBe(1);
    await expect(swtpm.tool("tpm2_nvundefine", "-C", "o", index)).rejects.toThrow();
    await expect(swtpm.tool("tpm2_nvundefine", "-C", "o", base)).rejects.toThrow();
  });

  it("a machine without a TPM", async () => {
    const store = storeOf(settings, { tpm: async () => null });
    expect(await readKeptMinimum(store, "acme-os")).toEqual({
      where: "TPM counter 0x01800010",
      minimum: null,
      problem: "this machine has no TPM 2.0",
    });
  });
});
