import { afterAll, beforeAll, expect, test } from "vitest";
import { type Guest, guestBoot, guestCommands, liveGuest } from "./guest.ts";
import { distributionKernel } from "./kernels.ts";

/** The guest in which other tests try commands, with UEFI. */

let guest: Guest;
beforeAll(async () => {
  const files = { "/usr/bin/greet": "#!/bin/sh\necho hello $1\n", "/data/file": "content\n" };
  guest = await liveGuest({ kernel: await distributionKernel(), uefi: true, append: "word=first", files });
});
afterAll(() => guest[Symbol.asyncDispose]());

test.each([
  ["greet you", { code: 0, stdout: "hello you\n", stderr: "" }],
  ["printf 'no end of line'; echo error >&2; exit 7", { code: 7, stdout: "no end of line\n", stderr: "error\n" }],
  ["echo 'guest: end 1 0 0 0'; echo '  spaces  '", { code: 0, stdout: "guest: end 1 0 0 0\n  spaces  \n" }],
  ["cat > /data/file; cat /data/file", { code: 0, stdout: "" }],
  ["kill -9 $(sh -c 'echo $PPID')", { code: 137, stdout: "" }],
  ["no-such-program", { code: 127, stderr: expect.stringContaining("not found") }],
] as const)("%s", async (command, expected) => {
  expect(await guest.run(command)).toMatchObject({ command, ...expected, loaded: false, crashLoaded: false });
});

test("the programs find their libraries", async () => {
  for (const [command, output] of [
    [`${guestCommands.kexecTools} --version`, /^kexec-tools 2/],
    [`${guestCommands.slipway} --version`, /slipway/],
    ["slipway --version", /^slipway \d/],
    ["makedumpfile -v", /^makedumpfile: version/],
    ["efibootmgr", /^BootOrder: /m],
    ["efivar --list", /-BootOrder$/m],
  ] as const) {
    const { code, stdout } = await guest.run(command);
    expect({ command, code }).toEqual({ command, code: 0 });
    expect(stdout).toMatch(output);
  }
});

test("it can start itself anew, and keeps its disk", async () => {
  const load = `${guestCommands.kexecTools} -c -i -l ${guestBoot.kernel} --initrd=${guestBoot.initrd}`;
  const said = await guest.run(`echo kept > /data/file; ${load} --reuse-cmdline --append=word=second`);
  expect(said).toMatchObject({ code: 0, loaded: true });
  guest.start(`${guestCommands.kexecTools} -e`);
  await guest.ready();
  const { stdout, loaded } = await guest.run("cat /proc/cmdline /data/file");
  expect(stdout).toMatch(/word=first.* word=second\nkept\n$/);
  expect(loaded).toBe(false);
});

test("what cannot be handed over as one line is refused", async () => {
  await expect(guest.run("echo one\necho two")).rejects.toThrow("one line of up to 4000 bytes expected");
  await expect(guest.run(`echo ${"x".repeat(5000)}`)).rejects.toThrow("one line of up to 4000 bytes expected");
});
