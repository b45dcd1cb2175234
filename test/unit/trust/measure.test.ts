import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { eventDataText, eventTypeName } from "../../../src/formats/tpm-event-log.ts";
import { type BankDigest, bankAlgorithm, bankAlgorithmNamed, tpmBanks } from "../../../src/formats/tpm2.ts";
import {
  bankProblems,
  extendMeasurements,
  type MeasuredImage,
  type MeasureInput,
  type Measurement,
  planMeasurements,
  planShellMeasurements,
  predictPcrs,
  sectionPaddingBytesMax,
} from "../../../src/trust/measure.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";
import { measuredFile, measuredImage, smallBoot } from "../../fakes/measured-boot.ts";
import { type ImageSection, peImage } from "../../fakes/uki-image.ts";

const algorithms = tpmBanks.flatMap((bank) => bankAlgorithmNamed(bank) ?? []);
const sha256 = bankAlgorithm(0x000b);
const sm3 = bankAlgorithm(0x0012);
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const wide = (text: string): Buffer => Buffer.from(text, "utf16le");
const sha = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");

const nothing: MeasureInput = {
  policy: encode(""),
  commandLine: "",
  moduleCommandLines: [],
  part: null,
  initrdMembers: [],
  files: [],
  image: null,
};

/** `PCR TYPE text`, and the SHA-256 digest. */
function lines(measurements: readonly Measurement[]): (readonly [string, string])[] {
  return measurements.map((event) => [
    `${event.pcr} ${eventTypeName(event.type)} ${eventDataText(event)}`,
    hex(event.digests.find(({ algorithm }) => algorithm.name === "sha256")?.digest ?? new Uint8Array()),
  ]);
}

/** What is measured of an image beyond the policy and the command line. */
function linesOfImage(bytes: Uint8Array, more: Partial<MeasuredImage> = {}): (readonly [string, string])[] {
  return lines(planMeasurements({ ...nothing, image: measuredImage(bytes, more) }, [sha256])).slice(2);
}

const section = (name: string, content: string | Uint8Array): (readonly [string, string])[] => [
  [`11 EV_IPL ${name}`, sha(`${name}\0`)],
  [`11 EV_IPL ${name}`, sha(content)],
];

it("what is measured of a boot, in its order", () => {
  const input: MeasureInput = {
    ...nothing,
    policy: encode('{"policy":{},"keys":{}}'),
    commandLine: "BOOT_IMAGE=/xen placeholder ö",
    moduleCommandLines: ["/vmlinuz root=/dev/vda2", ""],
    part: "#conf-1",
    initrdMembers: ["2 0444 all 0755 /etc/a"],
    files: [
      measuredFile("addon", "/loader/addons/a.addon.efi", "an add-on"),
      measuredFile("module", "/vmlinuz", "dom0"),
      measuredFile("overlay", "/o.dtbo", "an overlay"),
      measuredFile("devicetree", "/b.dtb", "a tree"),
      measuredFile("initrd", "/second", "initrd 2"),
      measuredFile("initrd", "/first", "initrd 1"),
      measuredFile("linux", "/xen", "hypervisor"),
    ],
  };
  const measurements = planMeasurements(input, [sha256]);
  expect(measurements.map(({ pcr, type, data }) => [pcr, type, Buffer.from(data).toString()])).toEqual([
    [8, 0x0d, "slipway policy\0"],
    [8, 0x0d, "kernel_cmdline: BOOT_IMAGE=/xen placeholder ö\0"],
    [8, 0x0d, "module_cmdline: /vmlinuz root=/dev/vda2\0"],
    [8, 0x0d, "module_cmdline: \0"],
    [8, 0x0d, "kernel_part: #conf-1\0"],
    [8, 0x0d, "initrd_member: 2 0444 all 0755 /etc/a\0"],
    [9, 0x0d, "/xen\0"],
    [9, 0x0d, "/second\0"],
    [9, 0x0d, "/first\0"],
    [9, 0x0d, "/b.dtb\0"],
    [9, 0x0d, "/o.dtbo\0"],
    [9, 0x0d, "/vmlinuz\0"],
    [9, 0x0d, "/loader/addons/a.addon.efi\0"],
  ]);
  expect(lines(measurements).map(([, digest]) => digest)).toEqual(
    [
      '{"policy":{},"keys":{}}',
      "BOOT_IMAGE=/xen placeholder ö",
      "/vmlinuz root=/dev/vda2",
      "",
      "#conf-1",
      "2 0444 all 0755 /etc/a",
      "hypervisor",
      "initrd 2",
      "initrd 1",
      "a tree",
      "an overlay",
      "dom0",
      "an add-on",
    ].map((content) => sha(content)),
  );
  expect(measurements.map(({ what }) => what).slice(0, 7)).toEqual([
    "policy",
    "command line",
    "module's command line",
    "module's command line",
    "part of the kernel's file",
    "initrd's place in an archive",
    'kernel "/xen"',
  ]);
});

it("every bank has its own digest", () => {
  const [policy] = planMeasurements({ ...nothing, policy: encode("abc") }, algorithms);
  // FIPS 180-4's example "abc".
  expect(policy?.digests.map(({ algorithm, digest }) => `${algorithm.name} ${hex(digest).slice(0, 16)}`)).toEqual([
    "sha1 a9993e364706816a",
    "sha256 ba7816bf8f01cfea",
    "sha384 cb00753f45a35e8b",
    "sha512 ddaf35a193617aba",
  ]);
});

describe("PCR 11 is what systemd-measure computes", () => {
  interface Judged {
    readonly [bank: string]: readonly { readonly pcr: number; readonly hash: string }[];
  }
  const judged: Readonly<Record<string, Judged>> = JSON.parse(
    readFileSync(new URL("../../data/tpm/measure.json", import.meta.url), "utf8"),
  );
  // As make.sh has them.
  const contents: Readonly<Record<string, string>> = {
    linux: "a kernel would be here",
    osrel: "ID=acme",
    cmdline: "root=/dev/vda2 quiet",
    initrd: "an initrd",
    splash: "a picture",
    dtb: "a device tree",
    pcrpkey: "a public key",
  };
  it.each(Object.keys(judged))("%s", (names) => {
    // Their order in the file does not matter.
    const sections = names
      .split(" ")
      .reverse()
      .map((name): ImageSection => [`.${name}`, contents[name] ?? ""]);
    const bytes = peImage([...sections, [".pcrsig", "is not measured"], [".text", "nor is this"]]);
    const values = predictPcrs(planMeasurements({ ...nothing, image: measuredImage(bytes) }, algorithms), algorithms);
    const found = Object.fromEntries(
      [...values].map(([bank, pcrs]) => [bank, [{ pcr: 11, hash: hex(pcrs.get(11) ?? new Uint8Array()) }]]),
    );
    expect(found).toEqual(judged[names]);
  });
});

describe("sections", () => {
  const base: readonly ImageSection[] = [
    [".sbat", "sbat,1"],
    [".uname", "6.1"],
    [".ucode", "microcode"],
    [".hwids", "ids"],
    [".linux", "kernel"],
    [".cmdline", "base"],
  ];

  it("in the order of the stub's list, the name with its NUL before the content", () => {
    expect(linesOfImage(peImage(base))).toEqual([
      ...section(".linux", "kernel"),
      ...section(".cmdline", "base"),
      ...section(".ucode", "microcode"),
      ...section(".uname", "6.1"),
      ...section(".sbat", "sbat,1"),
      ...section(".hwids", "ids"),
    ]);
    const [name] = planMeasurements({ ...nothing, image: measuredImage(peImage(base)) }, [sha256]).slice(2);
    expect(Buffer.from(name?.data ?? [])).toEqual(wide(".linux\0"));
  });

  const profiles: readonly ImageSection[] = [
    [".linux", "kernel"],
    [".cmdline", "base"],
    [".profile", "ID=main"],
    [".cmdline", "main"],
    [".profile", "ID=other"],
    [".initrd", "other's"],
  ];
  const number = (text: string): readonly [string, string] => [`12 EV_EVENT_TAG ${text}`, sha(wide(`${text}\0`))];

  it("of the first profile; it is not measured that it is the first", () => {
    expect(linesOfImage(peImage(profiles))).toEqual([
      ...section(".linux", "kernel"),
      ...section(".cmdline", "main"),
      ...section(".profile", "ID=main"),
    ]);
  });
  it("of another profile, with its number", () => {
    expect(linesOfImage(peImage(profiles), { profile: 1 })).toEqual([
      number("1"),
      ...section(".linux", "kernel"),
      ...section(".cmdline", "base"),
      ...section(".initrd", "other's"),
      ...section(".profile", "ID=other"),
    ]);
    const [tagged] = planMeasurements({ ...nothing, image: measuredImage(peImage(profiles), { profile: 1 }) }, [
      sha256,
    ]).slice(2);
    expect(hex(tagged?.data ?? new Uint8Array())).toBe("dbd6ae1304000000" + "31000000");
  });

  it("an empty section is none, and of two the first holds", () => {
    expect(
      linesOfImage(
        peImage([
          [".linux", "kernel"],
          [".cmdline", ""],
          [".dtb", "one"],
          [".dtb", "two"],
        ]),
      ),
    ).toEqual([...section(".linux", "kernel"), ...section(".dtb", "one")]);
  });

  it("of the device trees for one machine each, the one that is used", () => {
    const bytes = peImage([
      [".linux", "kernel"],
      [".dtbauto", "first"],
      [".dtbauto", "second"],
      [".efifw", "firmware"],
    ]);
    expect(linesOfImage(bytes)).toEqual(section(".linux", "kernel"));
    const offset = Buffer.from(bytes).indexOf("second");
    expect(linesOfImage(bytes, { boardDevicetree: { offset, length: 6 } })).toEqual([
      ...section(".linux", "kernel"),
      ...section(".dtbauto", "second"),
    ]);
  });

  /** An image whose first section is so large in memory. */
  const inMemory = (virtualBytes: number): Uint8Array => {
    const bytes = peImage([[".linux", "kernel"]]);
    new DataView(bytes.buffer).setUint32(0x40 + 24 + 112 + 8, virtualBytes, true);
    return bytes;
  };
  it("what a section has in memory only is zeroes", () => {
    const content = Buffer.alloc(0x300);
    content.write("kernel");
    expect(linesOfImage(inMemory(0x300))).toEqual(section(".linux", content));
    expect(linesOfImage(inMemory(4))).toEqual(section(".linux", "kern"));
  });
  it("but not too many", () => {
    expect(formatErrorOf(() => linesOfImage(inMemory(0x200 + sectionPaddingBytesMax + 1)))).toBe(
      "uki: offset 512, .linux: 16777217 bytes of zeroes, at most 16777216 are taken",
    );
  });
  it("what is no image is refused", () => {
    expect(formatErrorOf(() => linesOfImage(encode("no image")))).toBe('pe: offset 0, e_magic: "MZ" expected');
  });
});

describe("what an image is given", () => {
  const kernel = peImage([[".linux", "kernel"]]);
  const addon = (name: string, sections: readonly ImageSection[]): MeasuredImage["addons"][number] => {
    const bytes = peImage(sections);
    return { name, read: rangesOf(bytes), size: bytes.length };
  };
  const companion = (path: string, content: string): MeasuredImage["companions"][number] => ({
    path,
    bytes: () => encode(content),
  });
  const parameters = (more: Partial<MeasuredImage>): (readonly [string, string])[] =>
    linesOfImage(kernel, more).filter(([line]) => !line.startsWith("11 "));

  it("options in place of its own: as EFI hands them over, with the NUL", () => {
    expect(parameters({ options: "root=/dev/vda3" })).toEqual([
      ["12 EV_IPL root=/dev/vda3", sha(wide("root=/dev/vda3\0"))],
    ]);
    expect(parameters({ options: "" })).toEqual([]);
  });

  it("add-ons: all their options as one, then their parts in the stub's order", () => {
    const addons = [
      addon("a.addon.efi", [
        [".cmdline", "quiet\n"],
        [".ucode", "ucode a"],
        [".initrd", "initrd a"],
      ]),
      addon("b.addon.efi", [
        [".cmdline", "debug"],
        [".ucode", "ucode b"],
        [".initrd", "initrd b"],
        [".dtb", "tree b"],
      ]),
    ];
    expect(parameters({ addons, options: "own quiet debug" })).toEqual([
      ["12 EV_IPL own", sha(wide("own\0"))],
      ["12 EV_IPL quiet debug", sha(wide("quiet debug\0"))],
      ["12 EV_EVENT_TAG b.addon.efi", sha("tree b")],
      ["12 EV_EVENT_TAG b.addon.efi", sha("ucode b")],
      ["12 EV_EVENT_TAG a.addon.efi", sha("ucode a")],
      ["12 EV_EVENT_TAG a.addon.efi", sha("initrd a")],
      ["12 EV_EVENT_TAG b.addon.efi", sha("initrd b")],
    ]);
  });

  it("options that end like those of an add-on", () => {
    const addons = [addon("a.addon.efi", [[".cmdline", "quiet"]])];
    const texts = (options: string): string[] =>
      parameters({ addons, options }).map(([line]) => line.slice("12 EV_IPL ".length));
    expect(texts("quiet")).toEqual(["quiet"]);
    expect(texts("quiet quiet")).toEqual(["quiet", "quiet"]);
    expect(texts("unquiet")).toEqual(["unquiet", "quiet"]);
  });

  it("companions: an archive of each kind, whatever their order", () => {
    const files = [
      companion("/.extra/confext/c.confext.raw", "c"),
      companion("/.extra/global_sysext/g.raw", "g"),
      companion("/.extra/sysext/s.raw", "s"),
      companion("/.extra/global_credentials/g.cred", "gc"),
      companion("/.extra/credentials/b.cred", "b"),
      companion("/.extra/credentials/a.cred", "a"),
      companion("/.extra/elsewhere/x", "x"),
      companion("/.extra/credentials/deeper/x.cred", "x"),
    ];
    const found = parameters({ companions: files });
    expect(found.map(([line]) => line)).toEqual([
      "12 EV_IPL Credentials initrd",
      "12 EV_IPL Global credentials initrd",
      "13 EV_IPL System extension initrd",
      "13 EV_IPL Global system extension initrd",
      "12 EV_IPL Configuration extension initrd",
    ]);
    expect(parameters({ companions: files.toReversed() })).toEqual(found);
    const changed = parameters({
      companions: [companion("/.extra/credentials/a.cred", "other"), ...files.slice(1, 5)],
    });
    expect(changed[0]?.[1]).not.toBe(found[0]?.[1]);
  });
});

test("a changed option changes PCR 8 alone", () => {
  const plan = (input: MeasureInput): ReadonlyMap<number, string> => {
    const values = predictPcrs(planMeasurements(input, [sha256]), [sha256]).get("sha256") ?? new Map();
    return new Map([...values].map(([pcr, value]) => [pcr, hex(value)]));
  };
  const before = plan(smallBoot());
  const after = plan({ ...smallBoot(), commandLine: "BOOT_IMAGE=/vmlinuz root=/dev/vda2 ro quiet" });
  expect([...before.keys()].filter((pcr) => before.get(pcr) !== after.get(pcr))).toEqual([8]);
});

describe("prediction", () => {
  it("is the worked example of docs/measured-boot.md", () => {
    const paper = readFileSync(new URL("../../../docs/measured-boot.md", import.meta.url), "utf8");
    const input: MeasureInput = {
      ...nothing,
      policy: encode('{"policy":{},"keys":{}}'),
      commandLine: "root=/dev/vda2 ro",
      files: [measuredFile("linux", "/vmlinuz", "a kernel\n"), measuredFile("initrd", "/initrd.img", "an initrd\n")],
    };
    const values = predictPcrs(planMeasurements(input, [sha256]), [sha256]).get("sha256");
    const expected = [8, 9].map((pcr) => `PCR ${pcr}: ${hex(values?.get(pcr) ?? new Uint8Array())}\n`).join("");
    expect(paper).toContain(`\`\`\`\n${expected}\`\`\``);
    // And the paper's own commands come to it.
    const script = /```sh\n(# PCR and digest[\s\S]*?)```/.exec(paper)?.[1] ?? "";
    expect(execFileSync("sh", ["-c", script], { encoding: "utf8" })).toBe(expected);
  });

  it("goes on from what PCRs hold", () => {
    const [first, ...rest] = planMeasurements(smallBoot(), algorithms);
    const start = predictPcrs(first === undefined ? [] : [first], algorithms);
    const all = predictPcrs(planMeasurements(smallBoot(), algorithms), algorithms);
    expect(predictPcrs(rest, algorithms, start)).toEqual(all);
  });
});

test("a shell is measured into every PCR that something may be sealed to", () => {
  const measurements = planShellMeasurements([sha256]);
  expect(measurements.map(({ pcr }) => pcr)).toEqual(Array.from({ length: 16 }, (_, pcr) => pcr));
  for (const [line, digest] of lines(measurements)) {
    expect(line).toMatch(/^\d+ EV_IPL slipway shell$/);
    expect(digest).toBe(sha("slipway shell"));
  }
});

describe("banks that cannot be computed", () => {
  const measurements = planMeasurements(smallBoot(), [sha256, sm3]);

  it("get the same digest each time, all ones", () => {
    for (const { digests } of measurements) {
      expect(digests.map(({ algorithm, digest }) => [algorithm.name, digest.length])).toEqual([
        ["sha256", 32],
        ["sm3_256", 32],
      ]);
      expect(hex(digests[1]?.digest ?? new Uint8Array())).toBe("ff".repeat(32));
    }
    expect([...predictPcrs(measurements, [sha256, sm3]).keys()]).toEqual(["sha256"]);
  });

  it("are extended where they are active, and told of", async () => {
    const extended: (readonly [number, readonly string[]])[] = [];
    const tpm = {
      activeBanks: ["sha256"] as const,
      foreignBanks: [sm3, bankAlgorithm(0x1234)],
      extend: async (pcr: number, digests: readonly BankDigest[]) => {
        extended.push([pcr, digests.map(({ algorithm }) => algorithm.name)]);
      },
    };
    const done: string[] = [];
    await extendMeasurements(tpm, planMeasurements(nothing, [...algorithms, sm3]), ({ what }) => done.push(what));
    expect(extended).toEqual([
      [8, ["sha256", "sm3_256"]],
      [8, ["sha256", "sm3_256"]],
    ]);
    expect(done).toEqual(["policy", "command line"]);
    expect(bankProblems(tpm)).toEqual([
      "the TPM's bank sm3_256 cannot be computed: each event is all ones there",
      "the TPM's bank 0x1234 is not known and stays as it is",
    ]);
    expect(bankProblems({ activeBanks: [], foreignBanks: [] })).toEqual([
      "the TPM has no active bank of SHA-1, SHA-256, SHA-384 or SHA-512",
    ]);
    expect(bankProblems({ activeBanks: ["sha1"], foreignBanks: [] })).toEqual([]);
  });

  it("what was extended before a failure is told", async () => {
    const done: number[] = [];
    let count = 0;
    const tpm = {
      activeBanks: ["sha256"] as const,
      foreignBanks: [],
      extend: async () => {
        if (count++ === 2) throw new Error("no more");
      },
    };
    await expect(extendMeasurements(tpm, measurements, ({ pcr }) => done.push(pcr))).rejects.toThrow("no more");
    expect(done).toEqual([8, 8]);
  });
});
