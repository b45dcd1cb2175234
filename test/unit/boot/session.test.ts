import { describe, expect, it } from "vitest";
import { type Config, defaultConfig } from "../../../src/boot/config.ts";
import { DeviceEvents } from "../../../src/boot/device-events.ts";
import { BootMeasurer } from "../../../src/boot/measured-boot.ts";
import { BootSession } from "../../../src/boot/session.ts";
import { MachineSources } from "../../../src/discovery/machine-sources.ts";
import type { FileSource } from "../../../src/discovery/source.ts";
import type { LoadOptions } from "../../../src/handoff/load.ts";
import { noEfiChoices } from "../../../src/machine/efi-variables.ts";
import { unknownMachineDescription } from "../../../src/machine/machine-description.ts";
import { ModuleLoader } from "../../../src/machine/modules.ts";
import type { DeviceProblem } from "../../../src/machine/volumes.ts";
import type { Policy, TrustMode } from "../../../src/trust/policy.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { kexecState, machineFacts } from "../../fakes/kexec-state.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import { FakeReport } from "../../fakes/report.ts";
import { type FakeSystem, fakeSystem } from "../../fakes/system.ts";
import { blockEvent, fakeUeventSocket } from "../../fakes/uevent-socket.ts";

/** Volumes that a test puts in and takes out. */
class FakeSources extends MachineSources {
  plugged: readonly FileSource[] = [];
  disks: readonly string[] = [];
  failures: readonly DeviceProblem[] = [];
  unreadable: readonly string[] = [];
  refreshes = 0;
  #open: readonly FileSource[] = [];

  constructor() {
    super(fakeSystem(), null, 1);
  }
  override get sources(): readonly FileSource[] {
    return this.#open;
  }
  override get problems(): readonly DeviceProblem[] {
    return this.failures;
  }
  override get named(): readonly string[] {
    return this.unreadable;
  }
  override get diskNames(): readonly string[] {
    return this.disks;
  }
  override async refresh(): Promise<boolean> {
    this.refreshes++;
    const changed = this.plugged.length !== this.#open.length || this.plugged.some((s, i) => s !== this.#open[i]);
    this.#open = [...this.plugged];
    return changed;
  }
  override async close(): Promise<void> {
    this.#open = [];
  }
}

/** A volume with entries in this order; a `bad` one has a kernel that is refused. */
function volume(name: string, entries: Readonly<Record<string, "good" | "bad">>): FileSource {
  const files: Record<string, string | Uint8Array> = {};
  Object.entries(entries).forEach(([id, kind], index) => {
    files[`/${id}`] = kind === "good" ? bzImageFile() : "no kernel";
    files[`/loader/entries/${id}.conf`] = `title ${id}\nsort-key ${index}\nlinux /${id}\noptions ${id}\n`;
  });
  return memorySource(name, files);
}

interface Bench {
  readonly session: BootSession;
  readonly sources: FakeSources;
  readonly report: FakeReport;
  readonly system: FakeSystem;
  readonly stuck: string[];
  /** Sends the event of a disk and waits until the session has looked. */
  event(): Promise<void>;
  /** What was loaded, by options. */
  loaded(): string[];
  /** What was chosen, in order. */
  chosen(): string[];
  settle(): Promise<void>;
}

interface BenchOptions {
  readonly volumes?: readonly FileSource[];
  readonly timeoutSeconds?: number;
  readonly entry?: string | null;
  readonly trust?: TrustMode;
  /** In place of one that is of `trust` alone. */
  readonly policy?: Policy;
  /** Called at the jump. */
  readonly onLoad?: (bench: FakeSources) => void;
  readonly run?: boolean;
}

async function bench(options: BenchOptions): Promise<Bench> {
  const sources = new FakeSources();
  sources.plugged = options.volumes ?? [];
  const report = new FakeReport();
  const system = fakeSystem({
    kexecFileLoad: async () => options.onLoad?.(sources),
    sync: async () => {},
    // The real one does not come back.
    reboot: () => {
      throw new Error("jumped");
    },
  });
  const config: Config = {
    ...defaultConfig,
    entry: options.entry ?? null,
    discovery: { ...defaultConfig.discovery, deviceTimeoutSeconds: options.timeoutSeconds ?? 60 },
  };
  const socket = fakeUeventSocket();
  const events = new DeviceEvents(socket, await ModuleLoader.open(system, "/nowhere", 1));
  void events.listen();
  const policy = options.policy ?? plainPolicy(options.trust ?? "off", []);
  const quickenDigest = async (): Promise<void> => {};
  // A locked-down kernel takes the file call only.
  const handoff = (): LoadOptions => ({
    bootImage: true,
    digest: "auto",
    kernelBytesMax: 1 << 20,
    initrdBytesMax: 1 << 20,
    state: kexecState({ lockdown: "integrity" }),
    machine: machineFacts(),
  });
  const session = new BootSession({
    system,
    config,
    policy,
    measurer: new BootMeasurer("off", () => {}),
    report,
    architecture: "x86_64",
    handoff,
    efiChoices: () => noEfiChoices,
    machine: () => unknownMachineDescription,
    quickenDigest,
    sources,
    events,
  });
  const stuck: string[] = [];
  if (options.run !== false) void session.run((reason) => stuck.push(reason));
  const settle = async (): Promise<void> => {
    for (let seen = -1; seen !== report.lines.length + sources.refreshes; ) {
      seen = report.lines.length + sources.refreshes;
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  };
  const since = (prefix: string): string[] =>
    report.lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
  await settle();
  return {
    session,
    sources,
    report,
    system,
    stuck,
    settle,
    async event() {
      socket.send(blockEvent("vdx"));
      await settle();
    },
    loaded: () => system.log.filter((line) => line.startsWith("kexec")).map((line) => line.replace(/^.*: /, "")),
    chosen: () => since("chosen "),
  };
}

describe("trying entries", () => {
  it("in order; what is refused costs itself", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad", b: "good" }), volume("vdb1", { c: "good" })] });
    expect(on.chosen().slice(0, 2)).toEqual(["vda1:bls1:a", "vda1:bls1:b"]);
    expect(on.loaded()[0]).toBe("b");
    expect(on.report.lines.slice(0, 9)).toEqual([
      "devices",
      "entries 3",
      "chosen vda1:bls1:a",
      "unverified vda1:bls1:a: trust is off",
      "refused vda1:bls1:a: Cannot determine the file type of /a",
      "chosen vda1:bls1:b",
      "unverified vda1:bls1:b: trust is off",
      "handoff by kexec_file_load, the running kernel's own digest: the running kernel is locked down (integrity) and refuses kexec_load",
      "loaded",
    ]);
    expect(on.report.lines[9]).toBe("jump");
    expect(on.system.log.filter((line) => line === "reboot kexec").length).toBeGreaterThan(0);
  });

  it("the entry that the operator names comes first", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "good" }), volume("vdb1", { c: "good" })], entry: "c" });
    expect(on.loaded()[0]).toBe("c");
  });

  it("under enforce, without a key nothing is loaded", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "good" })], trust: "enforce", timeoutSeconds: 0 });
    expect(on.loaded()).toEqual([]);
    expect(on.report.lines.at(-1)).toMatch(/^refused vda1:bls1:a: options refused: /);
    expect(on.stuck).toHaveLength(1);
    expect(on.stuck[0]).toMatch(/^the only entry was refused; the last: options refused: /);
  });
});

describe("what is told of trust", () => {
  const told = async (policy: Policy): Promise<string | undefined> => {
    const on = await bench({ volumes: [volume("vda1", { a: "good" })], policy });
    const { lines } = on.report;
    return lines
      .slice(
        lines.indexOf("chosen vda1:bls1:a") + 1,
        lines.findIndex((line) => line.startsWith("handoff")),
      )
      .join("\n");
  };
  const withDocument = (mode: TrustMode, more: Partial<Policy["document"]>): Policy => {
    const policy = plainPolicy(mode, []);
    return { ...policy, document: { ...policy.document, ...more } };
  };
  const versions: Policy["document"]["rollback"] = {
    ...{ store: "none", required: false, volume: null, path: null },
    products: [{ name: "acme-os", minimum: 2, nvIndex: null }],
  };

  it("nobody signed it, and nobody has to", async () => {
    expect(await told(withDocument("enforce", { cover: [] }))).toBe("verified vda1:bls1:a by the policy");
  });

  it("its version is not known, and need not be", async () => {
    expect(await told(withDocument("enforce", { cover: [], rollback: versions }))).toBe(
      'warning: vda1:bls1:a: no manifest says its product and version, which "rollback" of the policy asks for\n' +
        "verified vda1:bls1:a by the policy",
    );
  });

  it("it would have been refused", async () => {
    expect(await told(withDocument("audit", { cover: ["linux"] }))).toBe(
      'unverified vda1:bls1:a: audit: linux "/a" on vda1 refused: no signature',
    );
  });
});

describe("devices that come and go", () => {
  it("a disk that appears is searched and booted", async () => {
    const on = await bench({});
    expect(on.report.lines).toEqual(["devices", "entries 0"]);
    on.sources.plugged = [volume("vdb1", { late: "good" })];
    await on.event();
    expect(on.loaded()[0]).toBe("late");
    expect(on.stuck).toEqual([]);
  });

  it("one that appears after the deadline too", async () => {
    const on = await bench({ timeoutSeconds: 0 });
    expect(on.stuck).toEqual(["no boot entry: there is no disk"]);
    on.sources.plugged = [volume("vdb1", { late: "good" })];
    await on.event();
    expect(on.loaded()[0]).toBe("late");
    expect(on.stuck).toHaveLength(1);
  });

  it("one that appears while an entry is attempted is searched too", async () => {
    const late = volume("vdb1", { late: "good" });
    let plug = true;
    const on = await bench({
      volumes: [volume("vda1", { a: "good" })],
      onLoad: (sources) => {
        if (plug) sources.plugged = [...sources.plugged, late];
        plug = false;
      },
    });
    expect(on.loaded()).toEqual(["a"]);
    await on.event();
    expect(on.loaded()).toContain("late");
  });

  it("a refused entry is tried again only when its volume changed", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad" })] });
    expect(on.chosen()).toEqual(["vda1:bls1:a"]);
    await on.event();
    on.sources.plugged = [...on.sources.plugged, volume("vdb1", { b: "bad" })];
    await on.event();
    expect(on.chosen()).toEqual(["vda1:bls1:a", "vdb1:bls1:b"]);
    on.sources.plugged = [volume("vda1", { a: "good" }), ...on.sources.plugged.slice(1)];
    await on.event();
    expect(on.chosen().slice(0, 3)).toEqual(["vda1:bls1:a", "vdb1:bls1:b", "vda1:bls1:a"]);
    expect(on.loaded()[0]).toBe("a");
  });

  it("an event without a change costs nothing", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad" })], timeoutSeconds: 0 });
    const before = on.report.lines.length;
    await on.event();
    await on.event();
    expect(on.report.lines).toHaveLength(before);
    expect(on.stuck).toHaveLength(1);
  });
});

describe("waiting", () => {
  it("for the entry that the operator names, with another one at hand", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "good" })], entry: "wanted" });
    expect(on.chosen()).toEqual([]);
    on.sources.plugged = [...on.sources.plugged, volume("vdb1", { wanted: "good" })];
    await on.event();
    expect(on.loaded()[0]).toBe("wanted");
  });

  it("not for ever: then the next best boots", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "good" })], entry: "wanted", timeoutSeconds: 0.1 });
    expect(on.chosen()).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 120));
    await on.settle();
    expect(on.loaded()[0]).toBe("a");
  });

  it("is not stuck before the deadline, and stuck once after it", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad", b: "bad" })], timeoutSeconds: 0.1 });
    expect(on.stuck).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 120));
    await on.settle();
    expect(on.stuck).toHaveLength(1);
    expect(on.stuck[0]).toMatch(/^all 2 entries were refused; the last: Cannot determine the file type of/);
    expect(on.chosen()).toEqual(["vda1:bls1:a", "vda1:bls1:b"]);
  });
});

describe("at a person's word", () => {
  it("retry lets go of every disk, looks again and tries everything", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad" })], timeoutSeconds: 0 });
    await on.session.retry();
    expect(on.chosen()).toEqual(["vda1:bls1:a", "vda1:bls1:a"]);
  });

  it("boot says why it did not", async () => {
    const on = await bench({ volumes: [volume("vda1", { a: "bad" })], timeoutSeconds: 0 });
    const entry = on.session.view.ranking.order[0]?.entry;
    if (entry === undefined) throw new Error("an entry expected");
    expect(await on.session.boot(entry, "")).toMatch(/^Cannot determine the file type of/);
  });

  it("one attempt at a time", async () => {
    let running = 0;
    let most = 0;
    const on = await bench({ volumes: [volume("vda1", { a: "bad", b: "bad" })], timeoutSeconds: 0 });
    const [first, second] = on.session.view.ranking.order;
    if (first === undefined || second === undefined) throw new Error("two entries expected");
    const mark = on.report.mark.bind(on.report);
    on.report.mark = (text) => {
      if (text.startsWith("chosen")) most = Math.max(most, ++running);
      mark(text);
    };
    const failure = on.report.failure.bind(on.report);
    on.report.failure = (text) => {
      if (text.startsWith("refused")) running--;
      failure(text);
    };
    await Promise.all([on.session.boot(first.entry, ""), on.session.boot(second.entry, ""), on.session.retry()]);
    expect(most).toBe(1);
  });
});

describe("the reason", () => {
  const reasonOf = async (prepare: (sources: FakeSources) => void): Promise<string> => {
    const on = await bench({ run: false });
    prepare(on.sources);
    return on.session.view.reason;
  };
  it("no disk", async () => expect(await reasonOf(() => {})).toBe("no boot entry: there is no disk"));
  it("disks without anything to say", async () =>
    expect(
      await reasonOf((sources) => {
        sources.disks = ["vda", "vdb"];
      }),
    ).toBe("no boot entry on vda, vdb"));
  it("some of very many remarks", async () => {
    const reason = await reasonOf((sources) => {
      sources.disks = ["vda"];
      sources.unreadable = Array.from({ length: 1000 }, (_, index) => `vda${index}: crypto_LUKS`);
    });
    expect(reason.split("; ")).toHaveLength(21);
    expect(reason).toMatch(/; and 980 more\)$/);
  });
  it("problems, what was skipped, and what holds no files", async () => {
    const on = await bench({
      volumes: [memorySource("vda1", { "/loader/entries/x.conf": "title x\nlinux /gone\n" })],
      timeoutSeconds: 0,
    });
    on.sources.disks = ["vda"];
    on.sources.failures = [{ device: "vdb", reason: "read /dev/vdb: no answer within 10 s" }];
    on.sources.unreadable = ["vda2: crypto_LUKS"];
    expect(on.session.view.reason).toMatch(
      /^no boot entry on vda \(vdb: read \/dev\/vdb: no answer within 10 s; vda1:\/loader\/entries\/x\.conf:\d+: .*\/gone.*; vda2: crypto_LUKS\)$/,
    );
  });
});
