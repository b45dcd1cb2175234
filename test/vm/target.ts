import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Kernel } from "./kernels.ts";
import { busyboxPath } from "./packages.ts";

export interface TargetOptions {
  /** Shell lines that run after the command line was printed and before the machine powers off. */
  readonly commands?: readonly string[];
  /** Modules that are loaded first, with all that they depend on: names as in `modules.dep`. */
  readonly modules?: { readonly kernel: Kernel; readonly names: readonly string[] };
  /** More files: absolute path → content. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  /** Text of the first line, so that targets can be told apart. */
  readonly banner?: string;
  /** Whether it powers off at the end (the default); otherwise it stays with a shell on the console. */
  readonly powerOff?: boolean;
}

/**
 * A little system in an initrd: prints `TARGET-BANNER:…:END` and `TARGET-CMDLINE:<its kernel command line>:END`, runs
 * the commands and powers off. It is what the boot loader boots in the tests, and a guest of its own for trying things.
 */
export async function targetInitrd(options: TargetOptions = {}): Promise<Buffer> {
  const modules = options.modules === undefined ? [] : await moduleFiles(options.modules.kernel, options.modules.names);
  const script = [
    "#!/bin/busybox sh",
    "/bin/busybox --install -s /bin",
    "export PATH=/bin",
    "mount -t proc proc /proc",
    "mount -t sysfs sys /sys",
    "mount -t devtmpfs dev /dev",
    ...modules.map(([name]) => `insmod ${name}`),
    `echo "TARGET-BANNER:${options.banner ?? "target"}:END"`,
    'echo "TARGET-CMDLINE:$(cat /proc/cmdline):END"',
    ...(options.commands ?? []),
    options.powerOff === false ? "exec setsid cttyhack sh" : "sync; poweroff -f",
  ];
  return cpioArchive([
    ...["/bin", "/dev", "/mnt", "/proc", "/sys", "/modules"].map((name) => directory(name)),
    // What the kernel gives to init as its standard streams.
    { name: "/dev/console", mode: 0o020600, device: [5, 1], content: new Uint8Array() },
    { name: "/bin/busybox", mode: 0o100755, content: await readFile(await busyboxPath()) },
    { name: "/init", mode: 0o100755, content: Buffer.from(`${script.join("\n")}\n`) },
    ...modules.map(([name, content]) => ({ name, mode: 0o100644, content })),
    ...Object.entries(options.files ?? {}).flatMap(([name, content]) => fileWithParents(name, content)),
  ]);
}

/** The modules and their dependencies in loading order; one that is built in (not in modules.dep) needs nothing. */
async function moduleFiles(kernel: Kernel, names: readonly string[]): Promise<(readonly [string, Uint8Array])[]> {
  const lines = (await readFile(path.join(kernel.modules, "modules.dep"), "utf8")).split("\n");
  const builtIn = await readFile(path.join(kernel.modules, "modules.builtin"), "utf8");
  const byName = new Map(lines.map((line) => [moduleName(line.split(":")[0] ?? ""), line]));
  const order: string[] = [];
  for (const name of names) {
    const line = byName.get(name.replaceAll("-", "_"));
    if (line === undefined) {
      if (builtIn.split("\n").some((file) => moduleName(file) === name.replaceAll("-", "_"))) continue;
      throw new Error(`load module "${name}": kernel ${kernel.version} has none of that name`);
    }
    const [file = "", depends = ""] = line.split(":");
    // modules.dep lists what a module needs with the deepest last.
    order.push(
      ...depends
        .split(" ")
        .filter((word) => word !== "")
        .reverse(),
      file,
    );
  }
  const files = [...new Set(order)];
  return Promise.all(
    files.map(async (file) => {
      const content: Uint8Array = await readFile(path.join(kernel.modules, file));
      return [`/modules/${path.basename(file)}`, content] as const;
    }),
  );
}

function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.ko(\.[a-z0-9]+)?$/, "")
    .replaceAll("-", "_");
}

export interface ArchiveMember {
  readonly name: string;
  readonly mode: number;
  readonly content: Uint8Array;
  readonly device?: readonly [major: number, minor: number];
}

function directory(name: string): ArchiveMember {
  return { name, mode: 0o040755, content: new Uint8Array() };
}

function fileWithParents(name: string, content: Uint8Array | string): ArchiveMember[] {
  const parts = name.split("/").slice(1, -1);
  const parents = parts.map((_, index) => directory(`/${parts.slice(0, index + 1).join("/")}`));
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return [...parents, { name, mode: bytes.length > 1 && bytes[0] === 0x23 ? 0o100755 : 0o100644, content: bytes }];
}

/** A "newc" cpio archive; independent of the product's writer, so that one can be tested with the other. */
export function cpioArchive(members: readonly ArchiveMember[]): Buffer {
  const parts: Buffer[] = [];
  const add = (member: ArchiveMember, inode: number): void => {
    const name = Buffer.from(`${member.name.replace(/^\//, "")}\0`);
    const [major, minor] = member.device ?? [0, 0];
    // inode, mode, uid, gid, links, mtime, size, device of the file (2), device it is (2), length of the name, checksum
    const fields = [inode, member.mode, 0, 0, 1, 0, member.content.length, 0, 0, major, minor, name.length, 0];
    const header = Buffer.from(`070701${fields.map((value) => value.toString(16).padStart(8, "0")).join("")}`);
    parts.push(padded(Buffer.concat([header, name])), padded(Buffer.from(member.content)));
  };
  members.forEach((member, index) => {
    add(member, index + 1);
  });
  add({ name: "TRAILER!!!", mode: 0, content: new Uint8Array() }, 0);
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
