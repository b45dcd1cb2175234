import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type DiskFiles, makeDisk } from "./disk.ts";
import { type GuestPackages, guestPackages, packagedFile } from "./guest-packages.ts";
import { slipwayExecutable } from "./image.ts";
import type { Kernel } from "./kernels.ts";
import { busyboxPath } from "./packages.ts";
import { targetInitrd } from "./target.ts";
import { startVm, type Vm, type VmOptions } from "./vm.ts";

/** The commands whose behaviour the guest is there to show. */
export const guestCommands = {
  /** This project's executable, called by the name of the other. */
  slipway: "/opt/slipway/kexec",
  /** The distribution's kexec-tools. */
  kexecTools: "/opt/kexec-tools/kexec",
} as const;

export interface GuestOptions {
  readonly kernel: Kernel;
  /** More words for the guest's own kernel. */
  readonly append?: string;
  readonly memoryMiB?: number;
  readonly processors?: number;
  readonly uefi?: boolean;
  /** More files, each with its absolute path in the guest; one that begins with `#!` can be run. */
  readonly files?: DiskFiles;
  /** Whether it can be put back ({@link Guest.save}); it then stands still at its end, and does not end by itself. */
  readonly restorable?: boolean;
  /** Its disks are added: the guest's own is /dev/vda. */
  readonly vm?: Partial<VmOptions>;
}

/** Where a guest has the kernel that it runs and its initrd: loaded and started, they make it anew. */
export const guestBoot = { kernel: "/boot/vmlinuz", initrd: "/boot/initrd" } as const;

/** What a command did. */
export interface CommandResult {
  readonly command: string;
  /** Of the shell that ran it: 128 and the number of a signal, if it died of one. */
  readonly code: number;
  /** Every line ends with a newline, the last too. */
  readonly stdout: string;
  readonly stderr: string;
  /** /sys/kernel/kexec_loaded and kexec_crash_loaded, read when it had ended. */
  readonly loaded: boolean;
  readonly crashLoaded: boolean;
}

/** Said by the guest before each line of its own, so that the kernel's messages cannot be taken for it. */
const mark = "guest:";

/**
 * A shell's loop for {@link Guest.run}: reads commands from the console, one a line, and frames what they print. Writes
 * nothing else.
 */
export const commandLoop = `stty -echo
echo "${mark} ready"
number=0
while IFS= read -r line; do
  number=$((number + 1))
  echo "${mark} begin $number"
  (eval "$line") > /tmp/.out 2> /tmp/.err < /dev/null
  code=$?
  awk '{ print "${mark} " substr(FILENAME, 7) " " $0 }' /tmp/.out /tmp/.err
  read -r loaded < /sys/kernel/kexec_loaded
  read -r crash < /sys/kernel/kexec_crash_loaded
  echo "${mark} end $number $code $loaded $crash"
done
`;

/**
 * Process 1 behind the switch to the disk: runs the commands, and lets the kernel write only what concerns the end of the
 * machine.
 */
const agent = (executable: readonly string[]): string => `
export PATH=/bin
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin:/sbin HOME=/root
chmod 755 ${executable.map(quoteWord).join(" ")}
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
test -d /sys/firmware/efi && mount -t efivarfs efivarfs /sys/firmware/efi/efivars
mount -t securityfs securityfs /sys/kernel/security
dmesg -n 1
${commandLoop}`;

/** In a shell's single quotes. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * A Linux guest with this project's executable and the distribution's kexec-tools, makedumpfile, efibootmgr and efivar
 * side by side, that runs commands of the test's. What it writes to its disk is dropped with the machine.
 */
export async function liveGuest(options: GuestOptions): Promise<Guest> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-guest-"));
  try {
    const [disk, initrd] = [path.join(scratch, "disk.img"), path.join(scratch, "initrd.cpio")];
    await writeFile(initrd, await guestInitrd(options.kernel));
    const boot = {
      [guestBoot.kernel]: { copyOf: options.kernel.vmlinuz },
      [guestBoot.initrd]: { copyOf: initrd },
    };
    await makeGuestDisk(disk, { ...boot, ...options.files });
    const atEnd = options.restorable === true ? ["-no-shutdown"] : [];
    const vm = await startVm({
      kernel: options.kernel.vmlinuz,
      initrd,
      append: `console=ttyS0 quiet panic=-1 ${options.append ?? ""}`.trim(),
      memoryMiB: options.memoryMiB ?? 1024,
      ...(options.uefi === undefined ? {} : { uefi: options.uefi }),
      ...options.vm,
      disks: [{ path: disk }, ...(options.vm?.disks ?? [])],
      qemuArguments: [
        ...["-smp", String(options.processors ?? 1), ...quickProcessor, ...atEnd],
        ...(options.vm?.qemuArguments ?? []),
      ],
    });
    const guest = new Guest(vm, scratch);
    await guest.ready();
    return guest;
  } catch (error) {
    await rm(scratch, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Without the flags that make a kernel clear and copy memory by string instructions, which are quick on a real processor
 * and which QEMU emulates byte by byte.
 */
const quickProcessor = ["-cpu", "max,-erms,-fsrm"];

/** What {@link guestBoot} has as its initrd: loads the disk's driver, changes over to the disk and is gone. */
export function guestInitrd(kernel: Kernel): Promise<Buffer> {
  const commands = [
    "while ! mount -t ext4 -o noinit_itable /dev/vda /mnt 2> /dev/null; do sleep 0.1; done",
    ...["dev", "proc", "sys"].map((name) => `mount --move /${name} /mnt/${name}`),
    "exec switch_root /mnt /bin/busybox sh /agent",
  ];
  const modules = { kernel, names: ["virtio_pci", "virtio_blk", "ext4", "efivarfs"] };
  return targetInitrd({ banner: "guest", commands, modules });
}

/** Room for what the commands write, and for the filesystem itself. */
const spareMiB = 64;

async function makeGuestDisk(disk: string, more: DiskFiles): Promise<void> {
  const packages = await guestPackages([
    ...["kexec-tools", "makedumpfile", "efibootmgr", "efivar"],
    // What the executable needs.
    ...["libatomic1", "libstdc++6"],
  ]);
  const executable = Object.keys(more).filter((name) => isScript(more[name]));
  const files: DiskFiles = {
    ...Object.fromEntries(["dev", "proc", "sys", "run", "tmp", "root"].map((name) => [`/${name}/`, ""])),
    ...packages.libraries,
    ...(await guestPrograms(packages)),
    "/agent": agent(["/bin/busybox", ...executable]),
    ...more,
  };
  const bytes = await Promise.all(Object.values(files).map(contentBytes));
  const sizeMiB = Math.ceil(bytes.reduce((sum, size) => sum + size, 0) / (1 << 20)) + spareMiB;
  await makeDisk(disk, [{ filesystem: "ext4", files, sizeMiB }], { table: "none" });
}

async function guestPrograms(packages: GuestPackages): Promise<DiskFiles> {
  const packaged = async (name: string): Promise<{ copyOf: string }> => {
    const places = ["sbin", "usr/sbin", "bin", "usr/bin"].map((directory) => `${directory}/${name}`);
    return { copyOf: await packagedFile(packages, ...places) };
  };
  return {
    "/bin/busybox": { copyOf: await busyboxPath() },
    "/usr/bin/slipway": { copyOf: slipwayExecutable },
    [guestCommands.slipway]: { link: "/usr/bin/slipway" },
    [guestCommands.kexecTools]: await packaged("kexec"),
    "/opt/kexec-tools/vmcore-dmesg": await packaged("vmcore-dmesg"),
    "/usr/bin/makedumpfile": await packaged("makedumpfile"),
    "/usr/bin/efibootmgr": await packaged("efibootmgr"),
    "/usr/bin/efivar": await packaged("efivar"),
  };
}

function isScript(content: DiskFiles[string] | undefined): boolean {
  return typeof content === "string" && content.startsWith("#!");
}

async function contentBytes(content: DiskFiles[string]): Promise<number> {
  if (typeof content === "string" || content instanceof Uint8Array) return content.length;
  return "copyOf" in content ? (await stat(content.copyOf)).size : 0;
}

/** Longest line that a terminal hands over, without its end (n_tty(4), canonical mode). */
const commandBytesMax = 4000;

export class Guest implements AsyncDisposable {
  /** The machine: its log, its monitor, its end. */
  readonly vm: Vm;
  readonly #scratch: string;
  #number = 0;
  #savedNumber = 0;

  constructor(vm: Vm, scratch: string) {
    this.vm = vm;
    this.#scratch = scratch;
  }

  /** Runs a line of shell in the guest to its end. */
  async run(command: string, timeoutMs = 60_000): Promise<CommandResult> {
    this.start(command);
    const number = this.#number;
    const frame = RegExp(`^${mark} begin ${number}\n([\\s\\S]*?)^${mark} end ${number} (\\d+) ([01]) ([01])\n`, "m");
    const [, said = "", code, loaded, crashLoaded] = await this.vm.expect(frame, timeoutMs);
    const lines = (stream: string): string => {
      const begin = `${mark} ${stream} `;
      const own = said.split("\n").filter((line) => line.startsWith(begin));
      return own.map((line) => `${line.slice(begin.length)}\n`).join("");
    };
    return {
      command,
      code: Number(code),
      stdout: lines("out"),
      stderr: lines("err"),
      loaded: loaded === "1",
      crashLoaded: crashLoaded === "1",
    };
  }

  /** Starts a line of shell that does not come back, such as a jump into another kernel. */
  start(command: string): void {
    if (command.includes("\n") || Buffer.byteLength(command) > commandBytesMax) {
      throw new Error(`run in a guest: one line of up to ${commandBytesMax} bytes expected, got "${command}"`);
    }
    this.#number++;
    this.vm.send(`${command}\n`);
  }

  /** Waits until it takes commands: at its start, and when a command has started {@link guestBoot} anew. */
  async ready(timeoutMs = 120_000): Promise<void> {
    await this.vm.expect(`${mark} ready\n`, timeoutMs);
    this.#number = 0;
  }

  /** Keeps the machine as it is, with its memory and its disks, for {@link restore}; only of a restorable one. */
  async save(): Promise<void> {
    await this.#monitor("savevm saved");
    this.#savedNumber = this.#number;
  }

  /** Makes the machine again what it was when it was saved, whatever has become of it: also after its end. */
  async restore(): Promise<void> {
    // A machine that has ended runs again only behind a reset, which would be its end as well.
    await this.vm.qmp("set-action", { reboot: "reset" });
    await this.vm.qmp("system_reset");
    await this.#monitor("loadvm saved");
    await this.vm.qmp("set-action", { reboot: "shutdown" });
    // What was said in the other course of things is not waited for any more.
    await this.vm.expect(/[\s\S]*$/);
    this.#number = this.#savedNumber;
    await this.vm.qmp("cont");
  }

  /** A command of QEMU's monitor for people, which returns what went wrong. */
  async #monitor(command: string): Promise<void> {
    const said = await this.vm.qmp("human-monitor-command", { "command-line": command });
    if (said !== "") throw new Error(`monitor ${command}: ${String(said)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vm[Symbol.asyncDispose]();
    await rm(this.#scratch, { recursive: true, force: true });
  }
}
