import { expect, it } from "vitest";
import { liveGuest } from "./guest.ts";
import { distributionKernel } from "./kernels.ts";
import { blsText } from "./scenario.ts";

const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const variables = "/sys/firmware/efi/efivars";

/** A shell's command that writes a variable as systemd's tools do: attributes, then UTF-16 with its NUL. */
function setVariable(name: string, value: string): string {
  const nonVolatileBootRuntime = 7;
  const bytes = Buffer.concat([Buffer.from([nonVolatileBootRuntime, 0, 0, 0]), Buffer.from(`${value}\0`, "utf16le")]);
  const octal = [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  return `printf '${octal}' > ${variables}/${name}-${loaderVendor}`;
}

it("EFI variables of real firmware choose the entry: once, then for good, and nothing changes them", async () => {
  const files = {
    "/loader/entries/first.conf": blsText("first", { sortKey: "1", linux: "/boot/vmlinuz", initrd: "/boot/initrd" }),
    "/loader/entries/second.conf": blsText("second", { sortKey: "2", linux: "/boot/vmlinuz", initrd: "/boot/initrd" }),
    "/loader/entries/third.conf": blsText("third", { sortKey: "3", linux: "/boot/vmlinuz", initrd: "/boot/initrd" }),
  };
  await using guest = await liveGuest({ kernel: await distributionKernel("cloud"), files, uefi: true });
  const root = `--root /,name=vda --efivars ${variables}`;
  const chosen = async (): Promise<unknown> => {
    const { stdout } = await guest.run(`slipway list --json ${root}`);
    const { default: id, timeoutSeconds } = JSON.parse(stdout);
    return [id, timeoutSeconds];
  };
  expect(await chosen()).toEqual(["vda:bls1:first", null]);
  await guest.run(setVariable("LoaderEntryDefault", "third.conf"));
  expect(await chosen()).toEqual(["vda:bls1:third", null]);
  await guest.run(setVariable("LoaderEntryOneShot", "second"));
  await guest.run(setVariable("LoaderConfigTimeout", "7"));
  expect(await chosen()).toEqual(["vda:bls1:second", 7]);
  const { stdout } = await guest.run(`slipway explain ${root}`);
  expect(stdout).toContain('because: the EFI variable LoaderEntryOneShot says "second"');
  // Of a directory that was given as a volume, the firmware's variables say nothing.
  const other = await guest.run("slipway list --json --root /,name=vda");
  expect(JSON.parse(other.stdout)).toMatchObject({ default: "vda:bls1:first" });
  expect(await chosen()).toEqual(["vda:bls1:second", 7]);
  await guest.run(setVariable("LoaderEntryPreferred", "gone"));
  const gone = await guest.run(`slipway explain ${root}`);
  expect(gone.stdout).toContain(
    'because: the EFI variable LoaderEntryPreferred says "gone", which is not offered; the EFI variable LoaderEntryOneShot says "second"',
  );
});
