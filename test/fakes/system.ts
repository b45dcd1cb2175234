import { nativeSystem } from "../../src/linux/native.ts";
import type { System } from "../../src/linux/system.ts";

export interface FakeSystem extends System {
  /** What was asked of it, one line a call, in order. */
  readonly log: readonly string[];
}

/**
 * A kernel that does nothing but keep a log. Memory files, mappings and opening below a directory are the real ones,
 * which need no rights; whatever else is called and not given in `own` throws.
 */
export function fakeSystem(own: Partial<System> = {}): FakeSystem {
  const log: string[] = [];
  const native = nativeSystem();
  const refuse = (call: string): never => {
    throw new Error(`${call} was not expected`);
  };
  const base: System = {
    createMemoryFile: (name) => native.createMemoryFile(name),
    sealMemoryFile: (fd) => native.sealMemoryFile(fd),
    mapFile: (fd, length) => native.mapFile(fd, length),
    openBeneath: (rootFd, path) => native.openBeneath(rootFd, path),
    setImmutable: () => refuse("setImmutable"),
    mount: () => refuse("mount"),
    openFilesystem: async () => refuse("openFilesystem"),
    forbidWrites: () => refuse("forbidWrites"),
    attachReadOnlyLoop: () => refuse("attachReadOnlyLoop"),
    createMapping: async () => refuse("createMapping"),
    removeMapping: async () => refuse("removeMapping"),
    cloneMount: async () => refuse("cloneMount"),
    loadModule: async () => refuse("loadModule"),
    openUeventSocket: () => refuse("openUeventSocket"),
    watchReadable: () => refuse("watchReadable"),
    kexecFileLoad: async () => refuse("kexecFileLoad"),
    kexecLoad: async () => refuse("kexecLoad"),
    kexecFileUnload: async () => refuse("kexecFileUnload"),
    randomBytes: (length) => native.randomBytes(length),
    framebufferInfo: () => refuse("framebufferInfo"),
    interfacesDown: () => refuse("interfacesDown"),
    sync: async () => refuse("sync"),
    reboot: () => refuse("reboot"),
    reapOrphans: () => refuse("reapOrphans"),
    ...own,
  };
  return {
    ...base,
    log,
    createMemoryFile(name) {
      log.push(`createMemoryFile ${name}`);
      return base.createMemoryFile(name);
    },
    mount(request) {
      log.push(`mount ${request.type} ${request.target} ${request.flags.join(",")} ${request.data}`.trimEnd());
      base.mount(request);
    },
    async loadModule(fd, path, parameters) {
      log.push(`loadModule ${path}`);
      await base.loadModule(fd, path, parameters);
    },
    async kexecFileLoad(request) {
      log.push(`kexecFileLoad ${request.initrdFd === null ? "alone" : "with initrd"}: ${request.commandLine}`);
      await base.kexecFileLoad(request);
    },
    async sync() {
      log.push("sync");
      await base.sync();
    },
    reboot(kind) {
      log.push(`reboot ${kind}`);
      base.reboot(kind);
    },
  };
}
