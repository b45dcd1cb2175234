import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { createMapping, removeMapping } from "./device-mapper.ts";
import { errno, SyscallError } from "./errno.ts";
import { Libc } from "./libc.ts";
import type {
  FileRange,
  FilesystemRequest,
  FramebufferInfo,
  KexecFileRequest,
  KexecRequest,
  MappedBytes,
  MountFlag,
  MountRequest,
  RebootKind,
  System,
  UeventSocket,
  Watch,
} from "./system.ts";

// linux/memfd.h, linux/fcntl.h
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */
const ALL_SEALS = 0xf;

// linux/mount.h
const mountFlagBits: Readonly<Record<MountFlag, number>> = { ro: 1, nosuid: 2, nodev: 4, noexec: 8 };
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
/** MOUNT_ATTR_RDONLY | NOSUID | NODEV | NOEXEC */
const MOUNT_ATTR_HARMLESS = 1 | 2 | 4 | 8;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;

// linux/fs.h: _IO(0x12, 93)
const BLKROSET = 0x125d;

// linux/fs.h: _IOR('f', 1, long), _IOW('f', 2, long). The number says long, the kernel reads and writes an int.
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IMMUTABLE_FL = 0x10;
const inodeFlagBytes = 8;

// linux/loop.h
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_GET_FREE = 0x4c82;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const loopAttemptsMax = 16;

// linux/openat2.h
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const O_RDONLY_SAFE = 0o4000 /* O_NONBLOCK: a FIFO must not block */ | 0o400 /* O_NOCTTY */ | O_CLOEXEC;

// linux/reboot.h
const rebootCommands: Readonly<Record<RebootKind, number>> = {
  kexec: 0x45584543,
  restart: 0x01234567,
  "power-off": 0x4321fedc,
  halt: 0xcdef0123 | 0,
};

// linux/kexec.h
const KEXEC_ON_CRASH = 1;
const KEXEC_PRESERVE_CONTEXT = 2;
const KEXEC_UPDATE_ELFCOREHDR = 4;
const KEXEC_DEBUG = 0x10;
/** linux/elf-em.h, in the upper half of kexec_load's flags. */
const kexecArchitectures: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };
const KEXEC_FILE_UNLOAD = 1;
const KEXEC_FILE_ON_CRASH = 2;
const KEXEC_FILE_NO_INITRAMFS = 4;
const KEXEC_FILE_DEBUG = 8;
const KEXEC_FILE_NO_CMA = 0x10;
const KEXEC_FILE_FORCE_DTB = 0x20;
/** struct kexec_segment: buf, bufsz, mem, memsz, 64 bits each. */
const kexecSegmentBytes = 32;
const pageBytes = 4096;

// linux/fb.h
const FBIOGET_VSCREENINFO = 0x4600;
const FBIOGET_FSCREENINFO = 0x4602;
const fixedScreenInfoBytes = 80;
const variableScreenInfoBytes = 160;

// linux/sockios.h, linux/if.h: struct ifreq is a name of 16 bytes and a union of 24.
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const interfaceNameBytes = 16;
const interfaceRequestBytes = 40;
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

// linux/module.h
const MODULE_INIT_COMPRESSED_FILE = 4;

// sys/socket.h, linux/netlink.h
const AF_NETLINK = 16;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | O_CLOEXEC;
const NETLINK_KOBJECT_UEVENT = 15;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_TRUNC = 0x20;
const sockaddrBytes = 12;
/** A burst of events while hundreds of disks appear must fit. */
const ueventQueueBytes = 16 << 20;
/** lib/kobject_uevent.c: UEVENT_BUFFER_SIZE is 2048; the path comes on top. */
const ueventBytesMax = 16 << 10;

// linux/wait.h
const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
const P_PID = 1;
const siginfoBytes = 128;
/** Offset of si_pid in siginfo_t on 64-bit machines. */
const siginfoPidOffset = 12;

let instance: System | undefined;

/** The running kernel. The native addon is loaded at the first call, and only then. */
export function nativeSystem(): System {
  instance ??= createSystem(new Libc());
  return instance;
}

function createSystem(libc: Libc): System {
  return {
    createMemoryFile: (name) => libc.call("memfd_create", [name, MFD_CLOEXEC | MFD_ALLOW_SEALING], [name]),
    sealMemoryFile: (fd) => void libc.call("fcntl", [fd, F_ADD_SEALS, ALL_SEALS], [fd, "F_ADD_SEALS"]),
    mapFile: (fd, length) => mapFile(libc, fd, length),
    setImmutable: (fd, immutable) => setImmutable(libc, fd, immutable),
    mount: (request) => mount(libc, request),
    openFilesystem: (request) => openFilesystem(libc, request),
    forbidWrites: (fd) => forbidWrites(libc, fd),
    attachReadOnlyLoop: (fd) => attachReadOnlyLoop(libc, fd),
    createMapping: (request) => createMapping(libc, request),
    removeMapping: (name) => removeMapping(libc, name),
    cloneMount: (path) => cloneMount(libc, path),
    openBeneath: (rootFd, path) => openBeneath(libc, rootFd, path),
    loadModule: (fd, path, parameters) => loadModule(libc, fd, path, parameters),
    openUeventSocket: () => openUeventSocket(libc),
    watchReadable: (fd, onReadable) => watchReadable(libc, fd, onReadable),
    kexecFileLoad: (request) => kexecFileLoad(libc, request),
    kexecLoad: (request) => kexecLoad(libc, request),
    kexecFileUnload: (onCrash) => kexecFileUnload(libc, onCrash),
    framebufferInfo: (fd) => framebufferInfo(libc, fd),
    interfacesDown: () => interfacesDown(libc),
    randomBytes: (length) => randomBytes(libc, length),
    sync: async () => void (await libc.callAsync("sync", [], [])),
    reboot: (kind) => void libc.call("reboot", [rebootCommands[kind]], [kind]),
    reapOrphans: (own) => reapOrphans(libc, own),
  };
}

function mapFile(libc: Libc, fd: number, length: number): MappedBytes {
  if (length === 0) return { bytes: new Uint8Array(0), [Symbol.dispose]() {} };
  const address = libc.map(fd, 0, length);
  return {
    bytes: new Uint8Array(libc.koffi.view(address, length)),
    [Symbol.dispose]: () => void libc.call("munmap", [address, length], [length]),
  };
}

function setImmutable(libc: Libc, fd: number, immutable: boolean): boolean {
  const flags = Buffer.alloc(inodeFlagBytes);
  libc.call("ioctl", [fd, FS_IOC_GETFLAGS, flags], [fd, "FS_IOC_GETFLAGS"]);
  const before = flags.readUInt32LE();
  const was = (before & FS_IMMUTABLE_FL) !== 0;
  if (was === immutable) return was;
  flags.writeUInt32LE(immutable ? before | FS_IMMUTABLE_FL : before & ~FS_IMMUTABLE_FL);
  libc.call("ioctl", [fd, FS_IOC_SETFLAGS, flags], [fd, "FS_IOC_SETFLAGS"]);
  return was;
}

function mount(libc: Libc, request: MountRequest): void {
  const flags = request.flags.reduce((bits, flag) => bits | mountFlagBits[flag], 0);
  libc.call(
    "mount",
    [request.source, request.target, request.type, flags, request.data],
    [request.source, request.target, request.type],
  );
}

async function openFilesystem(libc: Libc, request: FilesystemRequest): Promise<number> {
  const context = await libc.callAsync("fsopen", [request.type, FSOPEN_CLOEXEC], [request.type]);
  const configure = async (command: number, key: string | null, value: string | null): Promise<void> => {
    try {
      await libc.callAsync("fsconfig", [context, command, key, value, 0], [key, value]);
    } catch (error) {
      throw explainMount(error, request, contextMessages(context));
    }
  };
  try {
    await configure(FSCONFIG_SET_STRING, "source", request.source);
    await configure(FSCONFIG_SET_FLAG, "ro", null);
    for (const [name, value] of request.options) {
      await configure(value === null ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, name, value);
    }
    await configure(FSCONFIG_CMD_CREATE, null, null);
    return await libc.callAsync("fsmount", [context, FSMOUNT_CLOEXEC, MOUNT_ATTR_HARMLESS], [request.source]);
  } finally {
    closeSync(context);
  }
}

function explainMount(error: unknown, request: FilesystemRequest, messages: string): unknown {
  if (!(error instanceof SyscallError)) return error;
  const hint =
    error.errno === errno.EBUSY ? "the device is in use (mounted read-write, or part of an array)" : undefined;
  return new SyscallError(
    "mount",
    [
      request.source,
      request.type,
      "ro",
      ...request.options.map(([name, value]) => (value === null ? name : `${name}=${value}`)),
    ],
    error.errno,
    messages !== "" ? messages : hint,
  );
}

/** What the filesystem said of itself: messages queue at the context, one a read (`e ext4: …`). */
function contextMessages(context: number): string {
  const messages: string[] = [];
  const buffer = new Uint8Array(1024);
  const messagesMax = 8;
  while (messages.length < messagesMax) {
    try {
      const length = readSync(context, buffer);
      if (length === 0) break;
      messages.push(
        Buffer.from(buffer.subarray(0, length))
          .toString("latin1")
          .trim()
          .replace(/^[ewi] /, ""),
      );
    } catch {
      // ENODATA: no more messages.
      break;
    }
  }
  return messages.join("; ");
}

function forbidWrites(libc: Libc, fd: number): void {
  const readOnly = Buffer.alloc(4);
  readOnly.writeInt32LE(1);
  libc.call("ioctl", [fd, BLKROSET, readOnly], [fd, "BLKROSET"]);
}

function attachReadOnlyLoop(libc: Libc, fd: number): { node: string; fd: number } {
  const control = openSync("/dev/loop-control", "r+");
  try {
    // Another program may take the free number first.
    for (let attempt = 1; ; attempt++) {
      const number = libc.call("ioctl", [control, LOOP_CTL_GET_FREE, null], ["LOOP_CTL_GET_FREE"]);
      const node = `/dev/loop${number}`;
      const loop = openSync(node, "r");
      const failure = libc.tryCall("ioctl", [loop, LOOP_CONFIGURE, loopConfig(fd)]);
      if (failure >= 0) return { node, fd: loop };
      closeSync(loop);
      if (failure !== -errno.EBUSY || attempt === loopAttemptsMax) {
        throw new SyscallError("ioctl", [node, "LOOP_CONFIGURE"], -failure);
      }
    }
  } finally {
    closeSync(control);
  }
}

/** struct loop_config: fd, block size, struct loop_info64 (232 bytes, its flags at 52), 64 bytes reserved. */
function loopConfig(fd: number): Buffer {
  const config = Buffer.alloc(304);
  config.writeUInt32LE(fd, 0);
  config.writeUInt32LE(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, 8 + 52);
  return config;
}

async function cloneMount(libc: Libc, path: string): Promise<number> {
  const fd = await libc.callAsync("open_tree", [AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC], [path]);
  try {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd, 64 bits each.
    const attributes = Buffer.alloc(32);
    attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_HARMLESS), 0);
    libc.call("mount_setattr", [fd, "", AT_EMPTY_PATH, attributes, attributes.length], [path]);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function openBeneath(libc: Libc, rootFd: number, path: string): Promise<number> {
  // struct open_how: flags, mode, resolve, 64 bits each.
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(O_RDONLY_SAFE), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), 16);
  return libc.callAsync("openat2", [rootFd, path, how, how.length], [path]);
}

async function loadModule(libc: Libc, fd: number, path: string, parameters: string): Promise<void> {
  const flags = path.endsWith(".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
  try {
    await libc.callAsync("finit_module", [fd, parameters, flags], [path, parameters]);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === errno.EEXIST) return;
    throw error;
  }
}

function openUeventSocket(libc: Libc): UeventSocket {
  const fd = libc.call("socket", [AF_NETLINK, SOCK_DGRAM_NONBLOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT], ["AF_NETLINK"]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(ueventQueueBytes);
  libc.call("setsockopt", [fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length], ["SO_RCVBUFFORCE", ueventQueueBytes]);
  // struct sockaddr_nl: family, pad, port (0: the kernel chooses), groups (1: the kernel's own events).
  const address = Buffer.alloc(sockaddrBytes);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(1, 8);
  libc.call("bind", [fd, address, address.length], ["AF_NETLINK"]);
  return new NetlinkUevents(libc, fd);
}

/**
 * The addon calls back from the event loop without a turn of its own: promises resolved there would wait until something
 * else happens. An immediate is such a turn.
 */
function watchReadable(libc: Libc, fd: number, onReadable: () => void): Watch {
  let pending = false;
  let closed = false;
  const handle = libc.koffi.node.poll(fd, { readable: true }, () => {
    // The descriptor stays readable, and is reported again, until it was read.
    if (pending) return;
    pending = true;
    setImmediate(() => {
      pending = false;
      if (!closed) onReadable();
    });
  });
  return {
    close: () => {
      if (closed) return;
      closed = true;
      handle.close();
    },
  };
}

class NetlinkUevents implements UeventSocket {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #message = Buffer.alloc(ueventBytesMax);
  readonly #sender = Buffer.alloc(sockaddrBytes);
  readonly #senderLength = Buffer.alloc(4);

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  async receive(): Promise<Uint8Array | null> {
    for (;;) {
      this.#senderLength.writeUInt32LE(sockaddrBytes);
      const length = this.#libc.tryCall("recvfrom", [
        this.#fd,
        this.#message,
        this.#message.length,
        MSG_TRUNC,
        this.#sender,
        this.#senderLength,
      ]);
      if (length === -errno.EAGAIN) await this.#readable();
      else if (length === -errno.EINTR) continue;
      // The queue overflowed, or a message is longer than any: the listener looks for itself.
      else if (length === -errno.ENOBUFS || length > this.#message.length) return null;
      else if (length < 0) throw new SyscallError("recvfrom", ["NETLINK_KOBJECT_UEVENT"], -length);
      // Only the kernel (port 0) speaks of devices.
      else if (this.#sender.readUInt32LE(4) === 0) return Uint8Array.from(this.#message.subarray(0, length));
    }
  }

  #readable(): Promise<void> {
    return new Promise((resolve) => {
      const watch = watchReadable(this.#libc, this.#fd, () => {
        watch.close();
        resolve();
      });
    });
  }
}

async function kexecFileLoad(libc: Libc, request: KexecFileRequest): Promise<void> {
  const flags =
    (request.initrdFd === null ? KEXEC_FILE_NO_INITRAMFS : 0) |
    (request.onCrash === true ? KEXEC_FILE_ON_CRASH : 0) |
    (request.debug === true ? KEXEC_FILE_DEBUG : 0) |
    (request.noCma === true ? KEXEC_FILE_NO_CMA : 0) |
    (request.forceDtb === true ? KEXEC_FILE_FORCE_DTB : 0);
  // The length counts the terminating NUL.
  const length = Buffer.byteLength(request.commandLine) + 1;
  await libc.callAsync(
    "kexec_file_load",
    [request.kernelFd, request.initrdFd ?? -1, length, request.commandLine, flags],
    [request.kernelFd, request.initrdFd, length, request.commandLine, flags],
  );
}

async function kexecFileUnload(libc: Libc, onCrash: boolean): Promise<void> {
  const flags = KEXEC_FILE_UNLOAD | (onCrash ? KEXEC_FILE_ON_CRASH : 0);
  await libc.callAsync("kexec_file_load", [-1, -1, 0, null, flags], [-1, -1, 0, null, flags]);
}

/** The kernel copies straight from the mapped files: their bytes never pass through this program. */
async function kexecLoad(libc: Libc, request: KexecRequest): Promise<void> {
  const architecture = kexecArchitectures[process.arch];
  if (architecture === undefined) throw new Error(`kexec_load: this processor (${process.arch}) has no number here`);
  const flags =
    architecture * 0x1_0000 +
    ((request.onCrash === true ? KEXEC_ON_CRASH : 0) |
      (request.preserveContext === true ? KEXEC_PRESERVE_CONTEXT : 0) |
      (request.updateElfCoreHeader === true ? KEXEC_UPDATE_ELFCOREHDR : 0) |
      (request.debug === true ? KEXEC_DEBUG : 0));
  const table = Buffer.alloc(request.segments.length * kexecSegmentBytes);
  using mapped = new DisposableStack();
  request.segments.forEach(({ content, address, memoryBytes }, index) => {
    const at = index * kexecSegmentBytes;
    table.writeBigUInt64LE(content === null ? 0n : mapRange(libc, mapped, content), at);
    table.writeBigUInt64LE(BigInt(content?.length ?? 0), at + 8);
    table.writeBigUInt64LE(BigInt(address), at + 16);
    table.writeBigUInt64LE(BigInt(memoryBytes), at + 24);
  });
  const count = request.segments.length;
  await libc.callAsync(
    "kexec_load",
    [BigInt(request.entry), count, count === 0 ? null : table, flags],
    [`0x${request.entry.toString(16)}`, count, `0x${flags.toString(16)}`],
  );
}

/** The address of a range's first byte; the mapping goes with `mapped`. */
function mapRange(libc: Libc, mapped: DisposableStack, { fd, offset, length }: FileRange): bigint {
  if (length === 0) return 0n;
  const before = offset % pageBytes;
  const address = libc.map(fd, offset - before, length + before);
  mapped.defer(() => void libc.call("munmap", [address, length + before], [length + before]));
  return address + BigInt(before);
}

function framebufferInfo(libc: Libc, fd: number): FramebufferInfo {
  const fixed = Buffer.alloc(fixedScreenInfoBytes);
  const variable = Buffer.alloc(variableScreenInfoBytes);
  libc.call("ioctl", [fd, FBIOGET_FSCREENINFO, fixed], [fd, "FBIOGET_FSCREENINFO"]);
  libc.call("ioctl", [fd, FBIOGET_VSCREENINFO, variable], [fd, "FBIOGET_VSCREENINFO"]);
  return { fixed, variable };
}

function interfacesDown(libc: Libc): readonly string[] {
  const socket = libc.call("socket", [AF_INET, SOCK_DGRAM_CLOEXEC, 0], ["AF_INET", "SOCK_DGRAM"]);
  try {
    return interfaceNames().filter((name) => takeDown(libc, socket, name));
  } finally {
    closeSync(socket);
  }
}

/** Whether the interface was up and is down now; one that goes away meanwhile, or refuses, is left to itself. */
function takeDown(libc: Libc, socket: number, name: string): boolean {
  const request = Buffer.alloc(interfaceRequestBytes);
  request.write(name, 0, interfaceNameBytes - 1, "latin1");
  if (libc.tryCall("ioctl", [socket, SIOCGIFFLAGS, request]) < 0) return false;
  const flags = request.readUInt16LE(interfaceNameBytes);
  if ((flags & IFF_LOOPBACK) !== 0 || (flags & IFF_UP) === 0) return false;
  request.writeUInt16LE(flags & ~IFF_UP, interfaceNameBytes);
  return libc.tryCall("ioctl", [socket, SIOCSIFFLAGS, request]) >= 0;
}

/** Sample: `  eth0: 1234 …` after two lines of headings (proc_net(5), dev). */
function interfaceNames(): string[] {
  return readFileSync("/proc/net/dev", "latin1")
    .split("\n")
    .slice(2)
    .flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? []);
}

/** Up to 256 bytes come whole (random(7)). */
const randomBytesMax = 256;

function randomBytes(libc: Libc, length: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const part = bytes.subarray(done, done + randomBytesMax);
    done += libc.call("getrandom", [part, part.length, 0], [part.length]);
  }
  return bytes;
}

function reapOrphans(libc: Libc, own: ReadonlySet<number>): readonly number[] {
  const reaped: number[] = [];
  const info = Buffer.alloc(siginfoBytes);
  const reapedMax = 1024;
  while (reaped.length < reapedMax) {
    info.fill(0);
    if (libc.tryCall("waitid", [P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT]) < 0) break;
    const pid = info.readInt32LE(siginfoPidOffset);
    // 0: nobody has ended. One of our own is collected by its owner, which is told at the same time; look again then.
    if (pid === 0 || own.has(pid)) break;
    if (libc.tryCall("waitid", [P_PID, pid, info, WEXITED | WNOHANG]) < 0) break;
    reaped.push(pid);
  }
  return reaped;
}
