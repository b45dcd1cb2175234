import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { mountKernelFilesystems } from "../../../src/boot/setup.ts";
import { errno, SyscallError } from "../../../src/linux/errno.ts";
import { fakeSystem } from "../../fakes/system.ts";

/** What of it there is on the machine that runs the tests. */
const expected = [
  "mount securityfs /sys/kernel/security nosuid,nodev,noexec",
  "mount efivarfs /sys/firmware/efi/efivars ro,nosuid,nodev,noexec",
].filter((line) => existsSync(line.split(" ")[2] ?? ""));

describe("mountKernelFilesystems", () => {
  const nothing = async (): Promise<void> => {};

  it("mounts harmlessly what the kernel offers, EFI variables read-only, with its modules", async () => {
    const system = fakeSystem({ mount: () => {} });
    const loaded: string[] = [];
    const load = async (module: string): Promise<void> => void loaded.push(module);
    expect(await mountKernelFilesystems(system, load)).toEqual([]);
    expect(system.log).toEqual(expected);
    expect(loaded).toEqual(expected.map((line) => line.split(" ")[1]));
  });
  it("what is mounted already is no problem", async () => {
    const busy = fakeSystem({
      mount: ({ source, target, type }) => {
        throw new SyscallError("mount", [source, target, type], errno.EBUSY);
      },
    });
    expect(await mountKernelFilesystems(busy, nothing)).toEqual([]);
  });
  it("what fails is told, and the others are mounted", async () => {
    const failing = fakeSystem({
      mount: ({ source, target, type }) => {
        throw new SyscallError("mount", [source, target, type], 19);
      },
    });
    expect(await mountKernelFilesystems(failing, nothing)).toEqual(
      expected.map((line) => {
        const [, type, target] = line.split(" ");
        return `mount("${type}", "${target}", "${type}"): ENODEV: no such device`;
      }),
    );
    expect(failing.log).toEqual(expected);
  });
});
