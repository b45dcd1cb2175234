import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDirectory } from "./cache.ts";
import { runCommand } from "./command.ts";
import { type DebianDisk, debianDisk, debugfs } from "./debian.ts";
import { copyDisk } from "./disk.ts";
import { type CommandResult, commandLoop, Guest } from "./guest.ts";
import { slipwayExecutable } from "./image.ts";
import { blsText } from "./scenario.ts";
import { throwawayKeys } from "./sign.ts";
import { startVm } from "./vm.ts";

/** Of a start of the whole system, and of a stop and a start. */
const startTimeoutMs = 400_000;

/** What the service that watches over the starts and stops has written, in order. */
const history = "/var/lib/witness";
/** Standard error of a command that does not come back. */
const said = "/var/lib/said";

const systemFiles: Readonly<Record<string, string>> = {
  // The console is left alone until the last job of the start has been told there.
  "/usr/local/sbin/commands": [
    "export HOME=/root PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "systemctl is-system-running --wait > /dev/null",
    "dmesg -n 1",
    commandLoop,
  ].join("\n"),
  "/etc/systemd/system/commands.service": [
    "[Unit]",
    "Description=Commands of the test",
    "After=multi-user.target",
    "[Service]",
    "ExecStart=/bin/sh /usr/local/sbin/commands",
    "StandardInput=tty",
    "StandardOutput=tty",
    "StandardError=tty",
    "TTYPath=/dev/ttyS0",
    "[Install]",
    "WantedBy=graphical.target",
    "",
  ].join("\n"),
  // In recovery mode they are run in the place of the shell for the administrator.
  "/etc/systemd/system/rescue.service.d/commands.conf": [
    "[Service]",
    "ExecStart=",
    "ExecStart=/bin/sh /usr/local/sbin/commands",
    "",
  ].join("\n"),
  "/etc/systemd/system/witness.service": [
    "[Unit]",
    "Description=Witness of starts and stops",
    "[Service]",
    "Type=oneshot",
    "RemainAfterExit=yes",
    `ExecStart=/bin/sh -c 'echo start >> ${history}'`,
    `ExecStop=/bin/sh -c 'echo stop >> ${history}; echo it is over'`,
    "StandardOutput=journal+console",
    "[Install]",
    "WantedBy=multi-user.target rescue.target",
    "",
  ].join("\n"),
};

const links: Readonly<Record<string, string>> = {
  "/usr/sbin/kexec": "../bin/slipway",
  "/etc/systemd/system/graphical.target.wants/commands.service": "../commands.service",
  "/etc/systemd/system/multi-user.target.wants/witness.service": "../witness.service",
  "/etc/systemd/system/rescue.target.wants/witness.service": "../witness.service",
  "/etc/systemd/system/serial-getty@ttyS0.service": "/dev/null",
};

let scratch: string;
let debian: DebianDisk;
let guest: Guest;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-debian-"));
  const keys = await throwawayKeys(path.join(buildDirectory, "test-keys"));
  debian = await debianDisk(keys);
  const disk = await copyDisk(debian.path, path.join(scratch, "system.img"));
  await furnish(disk, keys.publicKey);
  const vm = await startVm({
    kernel: debian.kernel,
    initrd: debian.initrd,
    append: `console=ttyS0 root=UUID=${debian.rootUuid} ro start=first`,
    disks: [{ path: disk }],
    // Without the string instructions that are slow under emulation.
    qemuArguments: ["-cpu", "max,-erms,-fsrm"],
  });
  guest = new Guest(vm, scratch);
  await guest.ready(startTimeoutMs);
});
afterAll(async () => {
  await guest?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

/** Gives the installed system our executable as its kexec, the test's services, and an unsigned entry on its ESP. */
async function furnish(disk: string, publicKey: string): Promise<void> {
  const commands = [
    `write ${slipwayExecutable} /usr/bin/slipway`,
    "set_inode_field /usr/bin/slipway mode 0100755",
    "mkdir /keys",
    `write ${publicKey} /keys/test.pub`,
    ...["graphical.target.wants", "rescue.target.wants", "rescue.service.d"].map(
      (name) => `mkdir /etc/systemd/system/${name}`,
    ),
    ...Object.entries(links).map(([name, target]) => `symlink ${name} ${target}`),
  ];
  for (const [index, [name, text]] of Object.entries(systemFiles).entries()) {
    const file = path.join(scratch, `file${index}`);
    await writeFile(file, text);
    commands.push(`write ${file} ${name}`);
  }
  await debugfs(disk, commands, "write");

  const loader = path.join(scratch, "loader");
  await mkdir(path.join(loader, "entries"), { recursive: true });
  await writeFile(path.join(loader, "entries/debian.conf"), blsText("by BLS", { options: blsOptions() }));
  // Partition 1 begins at the first MiB.
  const esp = ["-i", `${disk}@@1M`];
  await runCommand("mcopy", [...esp, "-s", loader, "::"]);
  await runCommand("mcopy", [...esp, debian.kernel, "::vmlinuz"]);
  await runCommand("mcopy", [...esp, debian.initrd, "::initrd.img"]);
}

function blsOptions(): string {
  return `root=UUID=${debian.rootUuid} ro console=ttyS0 start=bls`;
}

function kernelFile(): string {
  return `/boot/vmlinuz-${debian.kernelVersion}`;
}

/** Leaves the running system for the loaded kernel and waits until commands are taken again. */
async function leave(command: string): Promise<void> {
  // What a shutdown ends by a signal has not failed.
  guest.start(`${command} 2> ${said} || test $? -gt 128 || echo stays`);
  const [stays] = await guest.vm.expect(/^guest: out stays\n|^(?=guest: ready\n)/m, startTimeoutMs);
  if (stays !== "") throw new Error(`${command}: the machine stays where it is: ${await output(`cat ${said}`)}`);
  await guest.ready();
}

async function output(command: string): Promise<string> {
  const { stdout } = await guest.run(command, startTimeoutMs);
  return stdout;
}

/** What the kernel has to say of filesystems that nobody unmounted. */
const complaints = 'dmesg | grep -E "(EXT4|FAT)-fs.*(recover|orphan|unmounted|error)"';

/** The system before was stopped as for a power-off, and this one has started behind it without a fault. */
async function expectCleanPassage(): Promise<void> {
  const before = await output("journalctl --boot=-1 --output=cat");
  const steps = ["it is over", "Stopped witness.service", "Unmounted boot-efi.mount", "Reached target umount.target"];
  for (const step of steps) expect(before).toContain(step);
  expect(before).toContain("Starting systemd-kexec.service - Reboot via kexec...");
  expect(await output(complaints)).toBe("");
  expect(await output("journalctl --boot=0 --output=cat | grep -E 'uncleanly|corrupt'")).toBe("");
}

const loadedNothing = { loaded: false } as const;

describe("a running Debian whose /sbin/kexec is this project's executable", () => {
  it("is told what a reboot into its entries would do, and what is refused; nothing is loaded", async () => {
    const reboot = (words: string): Promise<CommandResult> => guest.run(`slipway reboot ${words}`, startTimeoutMs);

    const rehearsed = await reboot("--dry-run --keys /keys");
    expect(rehearsed).toMatchObject({ ...loadedNothing, code: 0 });
    // The entry on the ESP comes first, but nobody has signed it.
    expect(rehearsed.stdout).toMatch(
      /^vda1:bls1:debian [\s\S]*refuses it\nvda2:grub:0 [\s\S]*by test\n[\s\S]*would boot\n$/,
    );

    const unsigned = await reboot("--keys /keys vda1:bls1:debian");
    expect(unsigned).toMatchObject({ ...loadedNothing, code: 2 });
    expect(unsigned.stderr).toContain('linux "/vmlinuz" on vda1 refused: no signature');

    const keyless = await reboot("vda2:grub:0");
    expect(keyless).toMatchObject({ ...loadedNothing, code: 2 });
    expect(keyless.stderr).toMatch(/^slipway reboot: trust is "enforce" and there is no key \(--keys\)/);

    await guest.run(`cp ${kernelFile()} /root/; printf changed | dd of=${kernelFile()} bs=1 seek=4000000 conv=notrunc`);
    expect(await guest.run(`cmp -s ${kernelFile()} /root/vmlinuz*`)).toMatchObject({ code: 1 });
    const changed = await reboot("--keys /keys vda2:grub:0");
    await guest.run(`cp /root/vmlinuz* ${kernelFile()}`);
    expect(changed).toMatchObject({ ...loadedNothing, code: 2 });
    expect(changed.stderr).toMatch(/linux "\/boot\/vmlinuz-\S+" on vda2 refused: .*signature/);

    expect(await reboot("--keys /keys nothing")).toMatchObject({ ...loadedNothing, code: 3 });
    const ambiguous = await reboot("--keys /keys 'vda2:grub:1>*'");
    expect(ambiguous).toMatchObject({ ...loadedNothing, code: 1 });
    expect(ambiguous.stderr).toContain("means 2 entries, one expected: vda2:grub:1>0, vda2:grub:1>1");

    await guest.run("mv /sbin/kexec /root/");
    const withoutKexec = await reboot("--keys /keys");
    await guest.run("mv /root/kexec /sbin/");
    expect(withoutKexec).toMatchObject({ ...loadedNothing, code: 1 });
    expect(withoutKexec.stderr).toContain("systemctl kexec needs /sbin/kexec: link it to /usr/bin/slipway");
  }, 600_000);

  it("is left by systemctl kexec for a kernel that was loaded by hand: services stop, the next system is whole", async () => {
    const initrd = `/boot/initrd.img-${debian.kernelVersion}`;
    const load = `kexec -l ${kernelFile()} --initrd=${initrd} --reuse-cmdline --append=start=second`;
    expect(await guest.run(load, startTimeoutMs)).toMatchObject({ code: 0, loaded: true, stderr: "" });
    await leave("systemctl kexec");
    expect(await output("cat /proc/cmdline")).toMatch(/ start=first start=second\n$/);
    expect(await output(`cat ${history}`)).toBe("start\nstop\nstart\n");
    await expectCleanPassage();
    expect(await output("systemctl is-system-running")).toBe("running\n");
  }, 900_000);

  it("has systemd load its Boot Loader Specification entry, and is left although /dev/shm is noexec", async () => {
    // As hardened systems have it; Debian's /run is noexec anyway, and disks are read-only at the end.
    expect(await guest.run("mount -o remount,noexec /dev/shm")).toMatchObject({ code: 0, loaded: false });
    await leave("systemctl kexec");
    const words = `--load "/boot/efi/vmlinuz" --append "${blsOptions()}" --initrd "/boot/efi/initrd.img"`;
    expect(await output(`cat ${said}`)).toContain(`Running /sbin/kexec ${words}\n`);
    expect(await output("cat /proc/cmdline")).toBe(`${blsOptions()}\n`);
    expect(await output(`cat ${history}`)).toBe("start\nstop\nstart\nstop\nstart\n");
    await expectCleanPassage();
  }, 900_000);

  it("is rebooted into the entry that was asked for", async () => {
    const words = "--keys /keys '*(recovery mode)'";
    const [, handoff = "none"] = /^ {2}handoff +(.*)$/m.exec(await output(`slipway reboot --dry-run ${words}`)) ?? [];
    await leave(`slipway reboot ${words}`);
    const title = `"Debian GNU/Linux, with Linux ${debian.kernelVersion} (recovery mode)"`;
    expect(await output(`cat ${said}`)).toContain(`slipway reboot: vda2:grub:1>1 ${title}, by ${handoff}\n`);
    expect(await output("cat /proc/cmdline")).toBe(
      `BOOT_IMAGE=${kernelFile()} root=UUID=${debian.rootUuid} ro single console=ttyS0\n`,
    );
    expect(await output("systemctl is-active rescue.target graphical.target")).toBe("active\ninactive\n");
    expect(await output(`cat ${history}`)).toBe("start\nstop\nstart\nstop\nstart\nstop\nstart\n");
    await expectCleanPassage();
  }, 900_000);

  it("is left by force at once: no service stops, but what was written is on the disk", async () => {
    const digest = await output("head -c 3000000 /dev/urandom > /root/late; sha256sum /root/late");
    await leave("slipway reboot --force --keys /keys");
    expect(await output("sha256sum /root/late")).toBe(digest);
    // Without a word the first entry that boots.
    expect(await output(`cat ${said}`)).toMatch(/vda1:bls1:debian refused: .*\nslipway reboot: vda2:grub:0 "Debian/);
    expect(await output("cat /proc/cmdline")).toMatch(/^BOOT_IMAGE=\S+ root=\S+ ro console=ttyS0\n$/);
    expect(await output(`tail -n 2 ${history}`)).toBe("start\nstart\n");
    // The very complaints that a clean passage is without.
    expect(await output(complaints)).toMatch(/EXT4-fs \(vda2\): recovery complete/);
  }, 900_000);
});
