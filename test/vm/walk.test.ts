import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneRoot, runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { type Guest, guestInitrd, liveGuest, quoteWord } from "./guest.ts";
import { slipwayExecutable } from "./image.ts";
import { blsText, marks, type Scenario, scenario } from "./scenario.ts";
import { type SigningKeys, withManifest } from "./sign.ts";
import { type Swtpm, startSwtpm } from "./swtpm.ts";

/*
 * "From no keys to a locked fleet" of docs/trust.md: its commands are run as they stand there, and machines are started
 * with the images that come out.
 */

/** A fenced block of the section, with the words behind its fence and the number of its step. */
interface Block {
  readonly kind: string;
  readonly step: number;
  readonly text: string;
}

/** Commands at the desk, what they print, commands in the operating system of a machine. */
const kinds = ["sh walk", "text walk", "sh machine"] as const;

function blocksOf(paper: string): Block[] {
  const [, section = ""] = /^## From no keys to a locked fleet\n(.*?)^## /ms.exec(paper) ?? [];
  return section.split(/^### (?=\d+\. )/m).flatMap((step) =>
    [...step.matchAll(/^```(.*?)\n(.*?)^```$/gms)].map(([, kind = "", text = ""]) => ({
      kind,
      step: Number.parseInt(step, 10),
      text,
    })),
  );
}

const options = "console=ttyS0 quiet panic=-1";
const manifestPath = "/slipway/boot.manifest";

let on: Scenario;
let blocks: readonly Block[];
/** The directory in which the commands are run. */
let desk: string;
/** What the boot volume holds before anybody signs. */
let unsigned: DiskFiles;
/** By step: the policy, the manifest, and what the commands printed. */
const after = new Map<number, { readonly policy: string; readonly manifest: string; readonly printed: string }>();

const paper = (name: string): Promise<string> => readFile(path.join(cloneRoot, name), "utf8");

/** What a shell prints that runs a script at the desk. */
function atDesk(script: string, directory = desk): Promise<string> {
  const bin = path.join(on.directory, "bin");
  return runCommand("bash", ["-eu", "-c", `PATH=${quoteWord(bin)}:"$PATH"\n${script}`], {
    cwd: directory,
    env: { KERNEL: on.kernel.modules },
  });
}

const textOf = (name: string): Promise<string> => readFile(path.join(desk, name), "utf8").catch(() => "");

function stateAfter(step: number): { readonly policy: string; readonly manifest: string; readonly printed: string } {
  const state = after.get(step);
  if (state === undefined) throw new Error(`step ${step} ran no commands`);
  return state;
}

/** Commands of a machine that the text shows in a step. */
function machineCommands(step: number): readonly string[] {
  return blocks
    .filter((block) => block.kind === "sh machine" && block.step === step)
    .flatMap(({ text }) => text.trimEnd().split("\n"));
}

beforeAll(async () => {
  on = await scenario();
  blocks = blocksOf(await paper("docs/trust.md"));
  desk = path.join(on.directory, "desk");
  // The one thing that is otherwise than in the text: images are wanted soon, not small.
  const command = path.join(on.directory, "bin/slipway");
  await mkdir(path.dirname(command));
  const quick = `case "$1 \${2-}" in "image build") set -- "$@" --level 3 ;; esac`;
  await writeFile(command, `#!/bin/sh\n${quick}\nexec ${quoteWord(slipwayExecutable)} "$@"\n`);
  await chmod(command, 0o755);
  unsigned = {
    "/loader/entries/acme.conf": blsText("Acme OS", { linux: "/acme/vmlinuz", initrd: "/acme/initrd", options }),
    "/acme/vmlinuz": on.vmlinuz,
    "/acme/initrd": await guestInitrd(on.kernel),
  };
  for (const [name, content] of Object.entries(unsigned)) {
    const file = path.join(desk, "esp", name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content as string | Uint8Array);
  }
  for (const { kind, step, text } of blocks) {
    if (kind !== "sh walk") continue;
    const printed = `${after.get(step)?.printed ?? ""}${await atDesk(text)}`;
    after.set(step, {
      printed,
      policy: await textOf("policy.json"),
      manifest: await textOf(`esp${manifestPath}`),
    });
  }
});
afterAll(() => on[Symbol.asyncDispose]());

const image = (name: string): string => path.join(desk, `${name}.cpio.zst`);
const signedAfter = (step: number): DiskFiles => ({ ...unsigned, [manifestPath]: stateAfter(step).manifest });

/** A disk with one volume behind the other, which are looked at in this order. A guest can write to them. */
function disk(name: string, ...volumes: readonly DiskFiles[]): Promise<string> {
  return on.disk(
    name,
    volumes.map((files) => ({ type: "xbootldr", filesystem: "ext4", files, sizeMiB: 64 })),
  );
}

/** Version 2 of the same, signed by two people. */
async function nextVersion(): Promise<DiskFiles> {
  const keysOf = (name: string): SigningKeys => ({
    publicKey: path.join(desk, `${name}.pub`),
    secretKey: path.join(desk, `${name}.key`),
  });
  return withManifest([keysOf("release"), keysOf("second")], unsigned, { product: "acme-os", version: 2 });
}

/** What a command of a machine prints; it has to succeed. */
async function output(guest: Guest, command: string): Promise<string> {
  const { code, stdout, stderr } = await guest.run(command);
  expect({ command, code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

describe("the text", () => {
  it("has these blocks, and no other", () => {
    expect(blocks.map(({ step, kind }) => `${step} ${kind}`)).toEqual([
      ...["1 sh walk", "2 sh walk", "2 text walk", "3 sh walk", "4 sh walk", "5 sh walk", "5 text walk"],
      ...["6 sh walk", "6 sh machine", "6 sh machine", "7 sh walk", "8 sh walk", "8 sh machine"],
      ...["9 sh walk", "9 text walk"],
    ]);
    expect(new Set(blocks.map(({ kind }) => kind))).toEqual(new Set(kinds));
  });

  it("shows what the commands print", () => {
    for (const { kind, step, text } of blocks) {
      if (kind === "text walk") expect(stateAfter(step).printed).toContain(text);
    }
  });
});

describe("at the desk", () => {
  /** Verifies the boot volume as it was signed after one step, by the policy of another. */
  async function verify(manifestOf: number, policyOf: number): Promise<string> {
    const { manifest } = stateAfter(manifestOf);
    const directory = path.join(on.directory, `verify-${manifestOf}-${policyOf}`);
    await mkdir(directory);
    await writeFile(path.join(directory, "policy.json"), stateAfter(policyOf).policy);
    await runCommand("cp", ["-r", path.join(desk, "esp"), directory]);
    await writeFile(path.join(directory, "esp", manifestPath), manifest);
    const words = `--root ${quoteWord(`${directory}/esp`)} --policy ${quoteWord(`${directory}/policy.json`)}`;
    return atDesk(`slipway verify ${words} --keys keys '*' || echo "exit code $?"`);
  }

  it("one signature is too few after step 5", async () => {
    const said = await verify(2, 5);
    expect(said).toContain("exit code 2\n");
    expect(said).toContain("signed by release: 2 different signers expected, not 1");
    expect(await verify(5, 5)).not.toContain("exit code");
  });

  it("the key that was taken back does not count after step 9", async () => {
    const said = await verify(5, 9);
    expect(said).toContain("exit code 2\n");
    expect(said).toContain('signed by "second", whose key the policy has revoked');
    expect(stateAfter(9).printed).not.toContain("signed by release and second");
  });
});

describe("README.md", () => {
  it("its commands for signing and for the boot image work", async () => {
    const text = await paper("README.md");
    const commands = ["Signing", "The boot image"].flatMap((heading) => {
      const [, section = ""] = new RegExp(`^## ${heading}\n(.*?)^## `, "ms").exec(text) ?? [];
      return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
    });
    // The last one starts QEMU.
    expect(commands.map((block) => block.includes("slipway "))).toEqual([true, true, true, false]);
    const directory = path.join(on.directory, "readme");
    const files = { "loader/entries/demo.conf": blsText("Demo", { linux: "/demo/vmlinuz", initrd: "/demo/initrd" }) };
    for (const [name, content] of Object.entries({
      ...files,
      "demo/vmlinuz": on.vmlinuz,
      "demo/initrd": "an initrd",
    })) {
      const file = path.join(directory, "esp", name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content);
    }
    // The kernel whose modules are taken is not the one that the tests run under.
    const script = ['uname() { echo "$KERNEL"; }', ...commands.slice(0, 3)].join("\n");
    const printed = await atDesk(script, directory);
    expect(printed).toContain("root1:bls1:demo: trusted\n");
    expect(printed).toContain("esp/demo/vmlinuz: trusted\n  file: trusted, signed by release\n");
    expect(await readdir(directory)).toContain("slipway.cpio.zst");
  });
});

describe("machines", () => {
  it("audit: what nobody signed boots, and the console says so", async () => {
    await using vm = await on.boot({ image: image("audit"), disks: [await disk("unsigned.img", unsigned)] });
    await vm.expect(/slipway: unverified vda1:bls1:acme: audit: .*no signature/, 120_000);
    await vm.expect(`TARGET-CMDLINE:${options}:END`, 60_000);
  });

  it("one with a TPM: enforce, two people, never back, locked, measured", async () => {
    const stateDirectory = path.join(on.directory, "tpm");
    await mkdir(stateDirectory);
    {
      await using swtpm = await startSwtpm({ for: "qemu", stateDirectory });
      await using guest = await machine("enforce", swtpm, await disk("enforce.img", unsigned, signedAfter(2)));
      const { log } = guest.vm;
      expect(log).toMatch(/slipway: refused vd[ab]1:bls1:acme: .*no signature/);
      expect(log).toMatch(/slipway: verified vd[ab]2:bls1:acme by release\n/);
      const [init = "", confirm = ""] = machineCommands(6);
      expect(await output(guest, init)).toContain('the minimum version of "acme-os" is 0, in TPM counter 0x01800001\n');
      expect(await output(guest, confirm)).toBe("nothing to confirm: the policy of this boot keeps no versions\n");
    }
    await using swtpm = await startSwtpm({ for: "qemu", stateDirectory });
    await using guest = await machine("locked", swtpm, await disk("locked.img", signedAfter(2), await nextVersion()));
    const { vm } = guest;
    expect(vm.log).toMatch(/slipway: refused vd[ab]1:bls1:acme: .*signed by release: 2 different signers expected/);
    expect(vm.log).toMatch(/slipway: verified vd[ab]2:bls1:acme by release and second\n/);

    // Only the version is another one, and that is not measured.
    const predicted = values(stateAfter(8).printed);
    expect([...predicted.keys()]).toEqual(["8", "9"]);
    const [show = ""] = machineCommands(8);
    const found = values(await output(guest, show));
    for (const [pcr, value] of predicted) expect(`${pcr} ${found.get(pcr)}`).toBe(`${pcr} ${value}`);

    const [, confirm = ""] = machineCommands(6);
    expect(await output(guest, confirm)).toBe('the minimum version of "acme-os" is 2, in TPM counter 0x01800001\n');
    // Whoever has root puts the version before back, which two people signed.
    await output(guest, `mount /dev/vdb2 /mnt && cp /older.manifest /mnt${manifestPath} && umount /mnt`);
    await vm.qmp("set-action", { reboot: "reset" });
    guest.start("reboot -f");
    const [refusal] = await vm.expect(/slipway: refused vd[ab]2:bls1:acme: .*\n/, 120_000);
    expect(refusal).toContain('version 1 of "acme-os", at least 2 expected (TPM counter 0x01800001)');
    await vm.expect("slipway: rescue: ");
  });

  it("locked, without its TPM: nothing boots", async () => {
    await using vm = await on.boot({ image: image("locked"), disks: [await disk("alone.img", signedAfter(5))] });
    await vm.expect("slipway: rescue: ", 120_000);
    expect(marks(vm.log).filter((mark) => /^(refused|verified) /.test(mark))).toEqual([
      "refused vda1:bls1:acme: the policy wants every boot measured: this machine has no TPM 2.0",
    ]);
  });
});

/** A machine whose own disk is a guest's: what it boots is on a further one. */
function machine(name: string, { qemuArguments }: Swtpm, entries: string): Promise<Guest> {
  return liveGuest({
    kernel: on.kernel,
    files: {
      "/mnt/": "",
      "/policy.json": stateAfter(6).policy,
      "/older.manifest": stateAfter(5).manifest,
    },
    vm: {
      initrd: image(name),
      append: "console=ttyS0 panic=-1",
      disks: [{ path: entries }],
      qemuArguments,
    },
  });
}

/** PCR to value, of a table that `slipway measure` prints. */
function values(table: string): Map<string, string> {
  const rows = [...table.matchAll(/^sha256 +(\d+) +([0-9a-f]{64})$/gm)];
  return new Map(rows.map(([, pcr = "", value = ""]) => [pcr, value]));
}
