/** What `reboot(2)` is asked for. */
export type RebootKind = "kexec" | "restart" | "power-off" | "halt";

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: readonly MountFlag[];
  /** Options of the filesystem itself: `mode=0755`. */
  readonly data: string;
}

export type MountFlag = "ro" | "nosuid" | "nodev" | "noexec";

export interface FilesystemRequest {
  /** As `/proc/filesystems` names it. */
  readonly type: string;
  /** The device node. */
  readonly source: string;
  /** Options of the filesystem; null for one without a value. */
  readonly options: readonly (readonly [name: string, value: string | null])[];
}

/** A stretch of a mapped device (Linux, Documentation/admin-guide/device-mapper); sectors of 512 bytes. */
export interface MappingTarget {
  readonly start: number;
  readonly sectors: number;
  /** `linear`, `striped`. */
  readonly type: string;
  /** As dmsetup(8) takes them: `254:0 2048`. */
  readonly parameters: string;
}

export interface MappingRequest {
  /** Of up to 127 bytes; not taken. */
  readonly name: string;
  /** Of up to 128 bytes; not taken either. */
  readonly uuid: string;
  readonly targets: readonly MappingTarget[];
}

export interface MappedDevice {
  /** `major:minor`. */
  readonly devno: string;
  /** The kernel's name: `dm-0`. */
  readonly name: string;
}

/** Bytes of a file mapped into memory, read-only. */
export interface MappedBytes extends Disposable {
  readonly bytes: Uint8Array;
}

/** Kernel object events (NETLINK_KOBJECT_UEVENT, the kernel's own multicast group). */
export interface UeventSocket {
  /**
   * The next message from the kernel, as sent: `add@/devices/…`, NUL, `KEY=value`, NUL…; null when messages were lost and
   * the listener has to look at sysfs itself.
   */
  receive(): Promise<Uint8Array | null>;
}

/** Bytes of an open file. */
export interface FileRange {
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
}

export interface KexecFileRequest {
  /** Opened read-only: the kernel refuses a file that somebody has open for writing. */
  readonly kernelFd: number;
  readonly initrdFd: number | null;
  readonly commandLine: string;
  /** For the crash region (KEXEC_FILE_ON_CRASH). */
  readonly onCrash?: boolean;
  /** The kernel tells in its log what it does (KEXEC_FILE_DEBUG; Linux 6.8). */
  readonly debug?: boolean;
  /** No memory from the contiguous memory allocator (KEXEC_FILE_NO_CMA; Linux 6.17). */
  readonly noCma?: boolean;
  /** The boot loader's device tree in place of the running one (KEXEC_FILE_FORCE_DTB; Linux 6.17). */
  readonly forceDtb?: boolean;
}

/** A segment of kexec_load(2): content that is mapped, not read. */
export interface KexecSegment {
  /** Null: nothing but zeroes. */
  readonly content: FileRange | null;
  /** Physical, page-aligned. */
  readonly address: number;
  /** A multiple of the page. */
  readonly memoryBytes: number;
}

export interface KexecRequest {
  /** Physical. */
  readonly entry: number;
  readonly segments: readonly KexecSegment[];
  /** For the crash region (KEXEC_ON_CRASH). */
  readonly onCrash?: boolean;
  /** The running kernel can be returned to (KEXEC_PRESERVE_CONTEXT). */
  readonly preserveContext?: boolean;
  /** The running kernel keeps the crash headers up to date when processors or memory come and go (KEXEC_UPDATE_ELFCOREHDR; Linux 6.6). */
  readonly updateElfCoreHeader?: boolean;
  /** KEXEC_DEBUG (Linux 6.18). */
  readonly debug?: boolean;
}

/** What a frame buffer device says of itself: the bytes of fb_fix_screeninfo and fb_var_screeninfo (linux/fb.h). */
export interface FramebufferInfo {
  readonly fixed: Uint8Array;
  readonly variable: Uint8Array;
}

/** Ends a watch. */
export interface Watch {
  close(): void;
}

/**
 * The running kernel, as far as Slipway asks it for things that Node does not. Every call throws or rejects with
 * SyscallError. Descriptors are plain numbers, opened close-on-exec; the caller closes them.
 */
export interface System {
  /** An anonymous file in memory that can be sealed (memfd_create(2)). */
  createMemoryFile(name: string): number;
  /** Forbids any further change of a memory file: content, size, seals (fcntl(2) F_ADD_SEALS). */
  sealMemoryFile(fd: number): void;
  /** Maps `length` bytes from the start of a file, read-only and private (mmap(2)). */
  mapFile(fd: number, length: number): MappedBytes;

  /**
   * Sets or clears the mark of an open file that forbids every change to it (ioctl_iflags(2), FS_IMMUTABLE_FL); efivarfs
   * marks the variables that a machine may need to start. Returns whether it was marked before.
   */
  setImmutable(fd: number, immutable: boolean): boolean;

  mount(request: MountRequest): void;
  /**
   * Mounts a filesystem read-only, nosuid, nodev, noexec, attached nowhere (fsopen(2), fsmount(2)): a descriptor of its
   * root. Closing it unmounts.
   */
  openFilesystem(request: FilesystemRequest): Promise<number>;
  /** Has the kernel refuse every write to an open block device until it is told otherwise (ioctl(2) BLKROSET). */
  forbidWrites(fd: number): void;
  /**
   * A loop device over an open block device or file that refuses every write, whatever is done with it (loop(4)). It goes
   * when the returned descriptor is closed and nothing is mounted from it.
   */
  attachReadOnlyLoop(fd: number): { readonly node: string; readonly fd: number };
  /**
   * Makes a device of parts of others, for reading: it is read-only itself, and the device mapper opens the others so
   * (ioctl(2) DM_DEV_CREATE, DM_TABLE_LOAD with DM_READONLY_FLAG). udev is told to leave it alone.
   */
  createMapping(request: MappingRequest): Promise<MappedDevice>;
  /** Removes a mapped device as soon as nobody uses it (DM_DEV_REMOVE with DM_DEFERRED_REMOVE); one that is gone is no error. */
  removeMapping(name: string): Promise<void>;
  /** A private read-only view of what is mounted at `path`, without the mounts below it (open_tree(2), mount_setattr(2)). */
  cloneMount(path: string): Promise<number>;
  /** Opens a file below a directory; links and anything that leaves the directory are refused (openat2(2)). */
  openBeneath(rootFd: number, path: string): Promise<number>;

  /**
   * Loads a kernel module (finit_module(2)); one that is already loaded is no error. Unless `parameters` say
   * `async_probe`, it also waits for every device that the kernel is bringing up at that time.
   */
  loadModule(fd: number, path: string, parameters: string): Promise<void>;
  openUeventSocket(): UeventSocket;
  /** Calls back each time a non-blocking descriptor (socket, terminal) can be read without waiting, until closed. */
  watchReadable(fd: number, onReadable: () => void): Watch;

  kexecFileLoad(request: KexecFileRequest): Promise<void>;
  /** kexec_load(2); without segments it unloads. */
  kexecLoad(request: KexecRequest): Promise<void>;
  /** Unloads by kexec_file_load(2), the only way that the integrity subsystem allows. */
  kexecFileUnload(onCrash: boolean): Promise<void>;
  /** ioctl(2) FBIOGET_FSCREENINFO and FBIOGET_VSCREENINFO of an open frame buffer. */
  framebufferInfo(fd: number): FramebufferInfo;
  /** Takes every network interface down but the loopback (ioctl(2) SIOCSIFFLAGS). Returns the names taken down. */
  interfacesDown(): readonly string[];
  /** Random bytes (getrandom(2)); early in the machine's life it waits until there are. */
  randomBytes(length: number): Uint8Array;
  /** Waits until everything written is on its medium; a dead medium holds it up. */
  sync(): Promise<void>;
  /** Does not return when it succeeds. */
  reboot(kind: RebootKind): void;

  /** Collects ended children that nobody waits for; those in `own` are left to their owner. Returns the process ids collected. */
  reapOrphans(own: ReadonlySet<number>): readonly number[];
}
