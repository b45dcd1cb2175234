import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { BootEntry, UnsignedInput } from "../../../src/discovery/entry.ts";
import type { FileSource } from "../../../src/discovery/source.ts";
import { readArtifacts, readFileArtifact } from "../../../src/trust/artifacts.ts";
import type { Policy, TrustMode } from "../../../src/trust/policy.ts";
import { minisignAnchorReader } from "../../../src/trust/schemes/minisign.ts";
import { judgeFile, type Verdict, verify } from "../../../src/trust/verify.ts";
import { bootEntry, configText } from "../../fakes/boot-entry.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { minisign, newSigner, readSigner, type Signer } from "../../fakes/minisign-signer.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import { fakeSystem } from "../../fakes/system.ts";

const data = (name: string): Buffer => readFileSync(new URL(`../../data/minisign/${name}`, import.meta.url));
const trusted = readSigner(new URL("../../data/minisign/throwaway-test.key", import.meta.url));
const stranger = newSigner();
const limits = { kernelBytesMax: 4 << 20, initrdBytesMax: 4 << 20, devicetreeBytesMax: 1 << 20 };

const policyOf = (mode: TrustMode): Policy =>
  plainPolicy(mode, minisignAnchorReader.readAnchors("release", data("throwaway-test.pub")));

/** One file of each role. */
const contents = {
  "/entry.conf": "config",
  "/vmlinuz": "the kernel",
  "/initrd-a": "first",
  "/initrd-b": "second initrd",
  "/board.dtb": "tree",
} as const;
type Path = keyof typeof contents;
const paths = Object.keys(contents) as Path[];

const whole = (own: Partial<BootEntry> = {}): BootEntry =>
  bootEntry({
    initrd: [
      { volume: "vda1", path: "/initrd-a" },
      { volume: "vda1", path: "/initrd-b" },
    ],
    devicetree: { volume: "vda1", path: "/board.dtb" },
    ...own,
  });

/** Every file with its signature beside it. */
function signed(by: Signer = trusted, algorithm: "ED" | "Ed" = "ED"): Record<string, string | Uint8Array> {
  const files: Record<string, string | Uint8Array> = {};
  for (const path of paths) {
    files[path] = contents[path];
    files[`${path}.minisig`] = minisign(by, contents[path], algorithm);
  }
  return files;
}

interface Case {
  readonly mode?: TrustMode;
  readonly entry?: BootEntry;
  readonly sources?: readonly FileSource[];
  readonly memoryBytes?: number | null;
}

/** Reads and judges; the memory is given back before the verdict is looked at, but for what `inspect` sees. */
async function judged(
  files: MemoryFiles,
  { mode = "enforce", entry = whole(), sources = [memorySource("vda1", files)], memoryBytes = null }: Case = {},
  inspect: (verdict: Verdict) => void = () => {},
): Promise<Verdict> {
  using artifacts = await readArtifacts({
    system: fakeSystem(),
    sources,
    entry,
    policy: policyOf(mode),
    limits,
    memoryBytes,
  });
  const verdict = verify(artifacts, policyOf(mode));
  inspect(verdict);
  return verdict;
}

const reasonOf = (verdict: Verdict): string => (verdict.ok ? "trusted" : verdict.reason);

/** The content with its last bit turned. */
function flipped(content: string | Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(content));
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
}

/** A signature file with one bit of the given line's data turned. */
function flippedSignature(text: string | Uint8Array | undefined, line: 1 | 3): string {
  const lines = String(text).split("\n");
  const bytes = Buffer.from(lines[line] ?? "", "base64");
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  lines[line] = bytes.toString("base64");
  return lines.join("\n");
}

describe("an entry with every file signed", () => {
  for (const algorithm of ["ED", "Ed"] as const) {
    it(`is verified, ${algorithm === "ED" ? "prehashed" : "legacy"} signatures`, async () => {
      const verdict = await judged(signed(trusted, algorithm), {}, (inside) => {
        if (!inside.ok) return;
        const { kernel, initrd, devicetree } = inside.boot;
        expect(readFileSync(`/proc/self/fd/${kernel.fd}`, "utf8")).toBe("the kernel");
        // The second archive starts at a multiple of 4.
        expect(initrd === null ? "" : readFileSync(`/proc/self/fd/${initrd.fd}`, "utf8")).toBe(
          "first\0\0\0second initrd",
        );
        expect(devicetree === null ? "" : readFileSync(`/proc/self/fd/${devicetree.fd}`, "utf8")).toBe("tree");
        for (const file of [kernel, initrd, devicetree]) {
          expect(() => writeSync(file?.fd ?? -1, "x")).toThrow("EBADF");
          expect(() => writeFileSync(`/proc/self/fd/${file?.fd}`, "x", { flag: "r+" })).toThrow("EPERM");
        }
      });
      expect(reasonOf(verdict)).toBe("trusted");
      expect(verdict.ok && verdict.boot.by).toEqual(["release"]);
      expect(verdict.ok && verdict.boot.concerns).toEqual([]);
      expect(verdict.artifacts.map((a) => `${a.role} ${a.ref.path} ${a.by}`)).toEqual([
        "options /entry.conf release",
        "config /entry.conf release",
        "linux /vmlinuz release",
        "initrd /initrd-a release",
        "initrd /initrd-b release",
        "devicetree /board.dtb release",
      ]);
    });
  }

  it("is verified when the signature stands beside the file that a link leads to", async () => {
    const files = { ...signed(), "/real/k": "the kernel", "/real/k.minisig": minisign(trusted, "the kernel") };
    delete (files as Record<string, unknown>)["/vmlinuz.minisig"];
    expect(reasonOf(await judged({ ...files, "/vmlinuz": { link: "real/k" } }))).toBe("trusted");
  });
});

describe("minisign's own signatures", () => {
  for (const name of ["message.txt.minisig", "message.txt.legacy.minisig"]) {
    const verdictOf = async (content: Uint8Array): Promise<string | null> => {
      const source = memorySource("root1", { "/message.txt": content, "/message.txt.minisig": data(name) });
      using file = await readFileArtifact(fakeSystem(), source, "/message.txt", policyOf("enforce"), 1000);
      return judgeFile(file, policyOf("enforce")).reason;
    };
    it(`${name} is good`, async () => expect(await verdictOf(data("message.txt"))).toBeNull());
    it(`${name} is bad for another file`, async () =>
      expect(await verdictOf(flipped(data("message.txt")))).toBe(
        "/message.txt.minisig: the signature does not match the file",
      ));
  }
});

describe("refused under enforce", () => {
  const roles: Readonly<Record<Path, string>> = {
    "/entry.conf": "config",
    "/vmlinuz": "linux",
    "/initrd-a": "initrd",
    "/initrd-b": "initrd",
    "/board.dtb": "devicetree",
  };
  const refuses = async (path: Path, files: MemoryFiles, reason: string): Promise<void> => {
    const entry = whole({
      configs: [configText("vda1", "/entry.conf", String(Buffer.from(files["/entry.conf"] as string)))],
    });
    const verdict = await judged(files, { entry });
    expect(verdict.ok).toBe(false);
    expect(reasonOf(verdict)).toContain(`${roles[path]} "${path}" on vda1 refused: ${reason}`);
    const options = 'options refused: they come from "/entry.conf" on vda1, which is not authenticated';
    if (path === "/entry.conf") expect(reasonOf(verdict)).toContain(options);
    else expect(reasonOf(verdict)).not.toContain("options");
  };
  for (const path of paths) {
    const signature = `${path}.minisig`;
    it(`${path}: a bit of the content`, () =>
      refuses(
        path,
        { ...signed(), [path]: flipped(contents[path]) },
        `${signature}: the signature does not match the file`,
      ));
    it(`${path}: a bit of the content, legacy`, () =>
      refuses(
        path,
        { ...signed(trusted, "Ed"), [path]: flipped(contents[path]) },
        `${signature}: the signature does not match the file`,
      ));
    it(`${path}: a bit of the signature`, () =>
      refuses(
        path,
        { ...signed(), [signature]: flippedSignature(signed()[signature], 1) },
        `${signature}: the signature does not match the file`,
      ));
    it(`${path}: a bit of the trusted comment's signature`, () =>
      refuses(
        path,
        { ...signed(), [signature]: flippedSignature(signed()[signature], 3) },
        `${signature}: the signature's trusted comment was changed`,
      ));
    it(`${path}: no signature`, () => {
      const { [signature]: _gone, ...files } = signed();
      return refuses(path, files, "no signature");
    });
    it(`${path}: the signature of another key`, () =>
      refuses(
        path,
        { ...signed(), [signature]: minisign(stranger, contents[path]) },
        `${signature}: made with key 0807060504030201, which is not trusted`,
      ));
    it(`${path}: another key that claims to be the trusted one`, () =>
      refuses(
        path,
        { ...signed(), [signature]: minisign({ ...stranger, id: trusted.id }, contents[path]) },
        `${signature}: the signature does not match the file`,
      ));
    it(`${path}: the signature of another file of the entry`, () =>
      refuses(
        path,
        { ...signed(), [signature]: minisign(trusted, "something else") },
        `${signature}: the signature does not match the file`,
      ));
    it(`${path}: an empty signature file`, () =>
      refuses(path, { ...signed(), [signature]: "" }, `${signature}: signature: of no known kind`));
    it(`${path}: a signature file that is too large`, () =>
      refuses(
        path,
        { ...signed(), [signature]: "x".repeat(65_537) },
        `${signature}: read "${signature}" on vda1: 65537 bytes`,
      ));
  }

  it("a signature that is cut anywhere", async () => {
    const signature = minisign(trusted, "the kernel");
    // Without its last line end it is still whole.
    for (let length = 0; length < signature.length - 1; length++) {
      const verdict = await judged({ ...signed(), "/vmlinuz.minisig": signature.slice(0, length) });
      expect(verdict.ok, `cut to ${length}`).toBe(false);
    }
  });

  it("what was not read, because something else is refused in any case, says nothing of its own", async () => {
    const { "/board.dtb.minisig": _gone, ...files } = signed();
    const verdict = await judged(files);
    expect(reasonOf(verdict)).toBe('devicetree "/board.dtb" on vda1 refused: no signature');
    expect(verdict.artifacts.filter((a) => !a.checked).map((a) => [a.ref.path, a.trusted, a.reason])).toEqual(
      ["/vmlinuz", "/initrd-a", "/initrd-b"].map((path) => [
        path,
        false,
        `${path}.minisig: not checked, another file of the entry is refused`,
      ]),
    );
  });

  it("an entry whose options no configuration file authenticates", async () => {
    expect(reasonOf(await judged(signed(), { entry: whole({ configs: [] }) }))).toBe(
      "options refused: no configuration file authenticates them",
    );
  });

  it("the configuration that was parsed, not the one that stands on the disk now", async () => {
    const entry = whole({ configs: [configText("vda1", "/entry.conf", "what was parsed")] });
    expect(reasonOf(await judged(signed(), { entry }))).toContain(
      'config "/entry.conf" on vda1 refused: /entry.conf.minisig: the signature does not match the file',
    );
  });

  it("initrds that were put in another order are each signed, and pass", async () => {
    const entry = whole({ initrd: ["/initrd-b", "/initrd-a"].map((path) => ({ volume: "vda1", path })) });
    expect(reasonOf(await judged(signed(), { entry }))).toBe("trusted");
  });
});

describe("unsigned inputs", () => {
  const input = (volume: string, text: string): UnsignedInput => ({
    config: configText(volume, "/grubenv", text),
    what: 'variable "kernelopts"',
  });
  const verdictFor = (inputs: readonly UnsignedInput[], ...sources: FileSource[]): Promise<Verdict> =>
    judged(signed(), {
      entry: whole({ unsignedInputs: inputs }),
      sources: [memorySource("vda1", signed()), ...sources],
    });
  const environment = (name: string): FileSource =>
    memorySource(name, { "/grubenv": "saved", "/grubenv.minisig": minisign(trusted, "saved") });

  it("an environment without a signature refuses the options", async () => {
    expect(reasonOf(await verdictFor([input("vda1", "x")]))).toBe(
      'options refused: variable "kernelopts" comes from "/grubenv" on vda1, which is not signed',
    );
  });
  it("a signed environment does not", async () => {
    expect(reasonOf(await verdictFor([input("vdb1", "saved")], environment("vdb1")))).toBe("trusted");
  });
  it("a signed environment does not vouch for one of the same name on another volume", async () => {
    const other = memorySource("vdc1", {});
    expect(
      reasonOf(await verdictFor([input("vdb1", "saved"), input("vdc1", "evil")], environment("vdb1"), other)),
    ).toContain('"/grubenv" on vdc1, which is not signed');
  });
  it("a file that was read with two contents is trusted only when both are signed", async () => {
    for (const inputs of [
      [input("vdb1", "evil"), input("vdb1", "saved")],
      [input("vdb1", "saved"), input("vdb1", "evil")],
    ]) {
      expect(reasonOf(await verdictFor(inputs, environment("vdb1")))).toContain("which is not signed");
    }
  });
});

describe("audit and off", () => {
  it("audit boots what enforce refuses, and says what that was", async () => {
    const verdict = await judged({ ...signed(), "/vmlinuz": "changed" }, { mode: "audit" });
    expect(verdict.ok && verdict.boot.mode).toBe("audit");
    expect(verdict.ok && verdict.boot.concerns).toEqual([
      'linux "/vmlinuz" on vda1 refused: /vmlinuz.minisig: the signature does not match the file',
    ]);
    expect(verdict.ok && verdict.boot.by).toEqual(["release"]);
  });
  it("audit has no concern with what is signed", async () => {
    const verdict = await judged(signed(), { mode: "audit" });
    expect(verdict.ok && verdict.boot.concerns).toEqual([]);
  });
  it("off looks at no signature and names no key", async () => {
    const verdict = await judged({ ...contents, "/vmlinuz.minisig": "rubbish" }, { mode: "off" });
    expect(verdict.ok && verdict.boot).toMatchObject({ mode: "off", by: [], concerns: [] });
    expect(verdict.artifacts).toEqual([]);
  });
});

it("a reason names some of very many refused files", async () => {
  const initrd = Array.from({ length: 100 }, () => ({ volume: "vda1", path: "/initrd-a" }));
  const verdict = await judged({ ...contents }, { entry: whole({ initrd }) });
  const reason = verdict.ok ? "" : verdict.reason;
  expect(reason.split("; ")).toHaveLength(9);
  // Options, the configuration, the kernel, 100 initrds and the device tree.
  expect(reason).toMatch(/; and 96 more$/);
});
