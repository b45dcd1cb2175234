import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey, sharedDirectory } from "./cache.ts";
import { runAsRoot, runCommand } from "./command.ts";
import { copyDisk, makeDisk } from "./disk.ts";
import { type SigningKeys, signFile } from "./sign.ts";
import { startVm } from "./vm.ts";

/** A disk with an installed Debian. */
export interface DebianDisk {
  /** Raw GPT image: partition 1 an ESP, partition 2 the root filesystem (ext4). Shared: boot it without `keepWrites`. */
  readonly path: string;
  readonly rootUuid: string;
  /** Its kernel and initrd, also as files here. */
  readonly kernel: string;
  readonly initrd: string;
  /** `uname -r` of its kernel. */
  readonly kernelVersion: string;
  /** Its /boot/grub/grub.cfg, made by its own grub-mkconfig. */
  readonly grubConfig: string;
}

const suite = "bookworm";
const packages = [
  ...["systemd-sysv", "udev", "kmod", "login", "passwd", "util-linux", "e2fsprogs"],
  ...["linux-image-cloud-amd64", "initramfs-tools", "zstd", "grub-common", "grub2-common"],
  // What the executable needs on a live system.
  ...["libatomic1", "libstdc++6"],
];
const rootUuid = "5c1b5e0f-6f1b-4c3a-9d53-7a2f0e4ad101";
const espUuid = "D3B1-A402";
const rootSizeMiB = 1536;
const espSizeMiB = 64;
/** Where partition 2 begins: the first MiB, then the ESP. */
const rootOffsetBytes = (1 + espSizeMiB) * (1 << 20);

/** Files that the installed system gets over what debootstrap leaves. */
const systemFiles: Readonly<Record<string, string>> = {
  "/etc/hostname": "target\n",
  "/etc/fstab": `UUID=${rootUuid} / ext4 errors=remount-ro 0 1\nUUID=${espUuid} /boot/efi vfat umask=0077,nofail 0 1\n`,
  "/etc/default/grub": [
    "GRUB_DEFAULT=0",
    "GRUB_TIMEOUT=5",
    "GRUB_DISTRIBUTOR=Debian",
    'GRUB_CMDLINE_LINUX_DEFAULT=""',
    'GRUB_CMDLINE_LINUX="console=ttyS0"',
    "GRUB_TERMINAL=console",
    "GRUB_DISABLE_OS_PROBER=true",
    "",
  ].join("\n"),
  // Process 1 of the machine that makes grub.cfg: grub-probe has to see the real root device.
  "/usr/local/sbin/make-grub-config": [
    "#!/bin/sh",
    "export PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "mount -t proc proc /proc",
    "mount -t sysfs sysfs /sys",
    "mount -o remount,rw /",
    "mkdir -p /boot/grub",
    "grub-mkconfig -o /boot/grub/grub.cfg && sync && mount -o remount,ro / && echo GRUB-CONFIG-MADE",
    "poweroff -ff",
    "",
  ].join("\n"),
};

/**
 * A Debian made by debootstrap whose grub.cfg its own grub-mkconfig has written in a running machine, with grub.cfg,
 * kernel and initrd signed (`.minisig` beside each). Needs root, or sudo without a password, the first time.
 */
export async function debianDisk(keys: SigningKeys): Promise<DebianDisk> {
  const base = await installedDebian();
  const unsigned = await describe(base);
  const key = contentKey(await readFile(keys.publicKey), base);
  const directory = await cached(buildDirectory, `debian/${key}`, async (target) => {
    const disk = await copyDisk(unsigned.path, path.join(target, "disk.img"));
    const files: Readonly<Record<string, string>> = {
      "/boot/grub/grub.cfg": unsigned.grubConfig,
      [`/boot/vmlinuz-${unsigned.kernelVersion}`]: unsigned.kernel,
      [`/boot/initrd.img-${unsigned.kernelVersion}`]: unsigned.initrd,
    };
    const commands: string[] = [];
    for (const [name, file] of Object.entries(files)) {
      const signature = `${path.basename(name)}.minisig`;
      await writeFile(path.join(target, signature), await signFile(keys, file));
      commands.push(`write ${signature} ${name}.minisig`);
    }
    await debugfs(disk, commands, "write");
  });
  return { ...unsigned, path: path.join(directory, "disk.img") };
}

/** Without signatures; the same for every clone. */
function installedDebian(): Promise<string> {
  const key = contentKey(suite, ...packages, JSON.stringify(systemFiles), rootUuid, `${rootSizeMiB} ${espSizeMiB}`);
  return cached(sharedDirectory, `debian/${suite}-${key}`, async (target) => {
    const disk = path.join(target, "disk.img");
    const root = path.join(target, "root.ext4");
    await makeRootFilesystem(root, path.join(target, "tree"));
    await makeDisk(disk, [
      { type: "esp", filesystem: "vfat", label: "EFI", uuid: espUuid, sizeMiB: espSizeMiB },
      { type: "linux", filesystem: "ext4", image: root },
    ]);
    await rm(root);
    const boot = (await debugfs(disk, ["ls -p /boot"])).matchAll(/\/(vmlinuz|initrd\.img)-([^/]+)\//g);
    for (const [, name = "", version = ""] of boot) {
      await debugfs(disk, [`dump /boot/${name}-${version} ${name}-${version}`]);
    }
    await makeGrubConfig(target);
    await debugfs(disk, ["dump /boot/grub/grub.cfg grub.cfg"]);
  });
}

async function describe(directory: string): Promise<DebianDisk> {
  const names = await readdir(directory);
  const find = (prefix: string): string => {
    const name = names.find((candidate) => candidate.startsWith(prefix));
    if (name === undefined) throw new Error(`look for "${prefix}…" in "${directory}": it is not there`);
    return path.join(directory, name);
  };
  const kernel = find("vmlinuz-");
  return {
    path: path.join(directory, "disk.img"),
    rootUuid,
    kernel,
    initrd: find("initrd.img-"),
    kernelVersion: path.basename(kernel).slice("vmlinuz-".length),
    grubConfig: path.join(directory, "grub.cfg"),
  };
}

/** debootstrap and mke2fs run as root: the tree has owners, devices and files that only root may read. */
async function makeRootFilesystem(image: string, tree: string): Promise<void> {
  try {
    const words = ["--variant=minbase", `--include=${packages.join(",")}`, suite, tree, ...(await mirror())];
    await runAsRoot("debootstrap", words, { env: { DEBIAN_FRONTEND: "noninteractive" } });
    for (const [name, content] of Object.entries(systemFiles)) {
      const file = path.join(tree, name);
      await runAsRoot(
        "sh",
        ["-c", 'cat > "$1" && chmod "$2" "$1"', "sh", file, content.startsWith("#!") ? "755" : "644"],
        {
          input: content,
        },
      );
    }
    await runAsRoot("chroot", [tree, "passwd", "-d", "root"]);
    await runAsRoot("sh", ["-c", 'rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*', "sh", tree]);
    await runAsRoot("mkdir", ["-p", path.join(tree, "boot/efi")]);
    const made = `${image}.new`;
    const words2 = ["-q", "-F", "-t", "ext4", "-L", "debian", "-U", rootUuid, "-E", "lazy_itable_init=1"];
    await runAsRoot("mke2fs", [...words2, "-d", tree, made, `${rootSizeMiB}M`]);
    await runAsRoot("chown", [`${process.getuid?.()}:${process.getgid?.()}`, made]);
    await rename(made, image);
  } finally {
    await runAsRoot("rm", ["-rf", "--one-file-system", tree]);
  }
}

/** The mirror that the host's own apt uses for this suite, if it does; debootstrap has a default. */
async function mirror(): Promise<string[]> {
  const format = ["--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"];
  const targets = await runCommand("apt-get", ["indextargets", ...format]).catch(() => "");
  const address = targets
    .split("\n")
    .find((line) => line.startsWith(`${suite} main `))
    ?.split(" ")[2];
  return address === undefined ? [] : [address];
}

async function makeGrubConfig(directory: string): Promise<void> {
  const { path: disk, kernel, initrd } = await describe(directory);
  await using vm = await startVm({
    kernel,
    initrd,
    append: `console=ttyS0 panic=-1 root=UUID=${rootUuid} ro init=/usr/local/sbin/make-grub-config`,
    disks: [{ path: disk, keepWrites: true }],
  });
  await vm.expect("GRUB-CONFIG-MADE", 300_000);
  await vm.waitForExit();
}

/**
 * Commands of debugfs(8) on the root filesystem inside the disk image; files of the host are named from the image's
 * directory. debugfs reports failures on its standard error only.
 */
export async function debugfs(
  disk: string,
  commands: readonly string[],
  mode: "read" | "write" = "read",
): Promise<string> {
  const words = [...(mode === "write" ? ["-w"] : []), "-f", "-", `${disk}?offset=${rootOffsetBytes}`];
  const said = await runCommand("sh", ["-c", 'debugfs "$@" 2>&1', "sh", ...words], {
    cwd: path.dirname(disk),
    input: `${commands.join("\n")}\n`,
  });
  const complaint = said.split("\n").find((line) => /not found|No such|error|Filesystem not open/i.test(line));
  if (complaint !== undefined) throw new Error(`debugfs ${commands.join("; ")}: ${complaint}`);
  return said;
}
