import { describe, expect, it } from "vitest";
import { readRequest, type Settings } from "../../../../src/cli/kexec/settings.ts";

function settings(words: string): Settings {
  const request = readRequest(words.split(" "));
  if (request.kind !== "do") throw new Error(`settings expected, not ${JSON.stringify(request)}`);
  return request.settings;
}

/** What is done, in order. */
function steps(words: string): string {
  const { status, unload, load, target, shutdown, sync, interfacesDown, exec, jumpBack } = settings(words);
  const kernel = target === "normal" ? "" : ` ${target}`;
  return [
    status ? `status${kernel}` : null,
    unload ? `unload${kernel}` : null,
    load ? `load${kernel}` : null,
    shutdown ? "shutdown" : null,
    sync ? "sync" : null,
    interfacesDown ? "down" : null,
    exec ? "exec" : null,
    jumpBack ? "back" : null,
  ]
    .filter((step) => step !== null)
    .join(" ");
}

describe("options are assignments, the last one wins", () => {
  // The columns of kexec-tools 2.0.25, seen in a guest; what is different is said so.
  const rows: readonly (readonly [words: string, steps: string])[] = [
    ["K", "load shutdown sync"],
    ["-y K", "load shutdown"],
    ["-l K", "load sync"],
    ["-l -y K", "load"],
    ["-e", "sync down exec"],
    ["-e -x -y", "exec"],
    ["-x -e -y", "exec"],
    ["-e -l K", "load sync down"],
    ["-l K -e", "sync down exec"],
    ["-f K", "load sync down exec"],
    ["-f -e -l K", "load sync down"],
    ["-f -x K", "load sync exec"],
    ["-p K", "load crash"],
    ["-l -p K", "load crash"],
    ["-p -l K", "load crash"],
    ["-p -f K", "load crash sync down exec"],
    ["-e -p K", "load crash down"],
    ["-u", "unload"],
    ["-u extra", "unload"],
    ["-u -e", "unload sync down exec"],
    ["-e -u", "unload down exec"],
    ["-p -u", "unload crash"],
    ["-p -u K", "unload crash"],
    ["-u -p K", "unload crash load crash"],
    ["-u -l K", "unload load"],
    ["-l -u K", "unload"],
    // Different: kexec-tools unloads, then fails for want of a kernel.
    ["-u -p", "unload crash"],
    ["-u -l", "unload"],
    ["-S", "status crash"],
    ["-S -l", "status"],
    ["-l -S", "status"],
    ["-S -p -l", "status crash"],
    ["-S -e", "status crash"],
    ["-S -u -f K", "status crash"],
    ["--load-preserve-context --mem-max=0x1000 K", "load returning sync"],
    ["--load-jump-back-helper --entry=5", "sync down back"],
    ["--load-jump-back-helper --entry=5 -x -y", "back"],
  ];
  for (const [words, expected] of rows) it(words, () => expect(steps(words)).toBe(expected));

  it("the call", () => {
    const call = (words: string): Settings["call"] => settings(words).call;
    expect([call("-l K"), call("-s -c K"), call("-c -s K"), call("-s -c -a K")]).toEqual([
      null,
      "classic",
      "file",
      "auto",
    ]);
  });
  it("single values; initrds and modules are all kept", () => {
    const all = settings(
      "-t a --append=x -t b --command-line=y --initrd=1 --ramdisk=2 --module=m --args-elf --args-none K",
    );
    expect(all).toMatchObject({
      type: "b",
      append: "y",
      initrds: ["1", "2"],
      modules: ["m"],
      elfArguments: "none",
      words: ["K"],
    });
    expect(settings("--elf32-core-headers --elf64-core-headers K").elf32CoreHeaders).toBe(false);
    expect(settings("--dtb=a --devicetree=b K").devicetree).toBe("b");
  });
});

describe("numbers", () => {
  const bound = (text: string): number | null => settings(`-l --mem-max=${text} K`).memoryMax;
  const rows: readonly (readonly [text: string, value: number])[] = [
    ["", 0],
    ["0", 0],
    ["268435456", 0x10000000],
    ["0x10000000", 0x10000000],
    ["0X1F", 31],
    ["02000000000", 0x10000000],
    ["+5", 5],
    // strtoul(3) counts a negative number from 2^64, and stays there for more; no address is higher than 2^52.
    ["-1", 2 ** 52 - 1],
    ["0xffffffffffffffff", 2 ** 52 - 1],
    ["99999999999999999999", 2 ** 52 - 1],
  ];
  for (const [text, value] of rows) it(`"${text}" is ${value}`, () => expect(bound(text)).toBe(value));
  it("--entry=0 is none", () => {
    expect(settings("--entry=0 K").entry).toBeNull();
    expect(settings("--entry=0x100 K").entry).toBe(0x100);
  });
  it("serial ports and rates", () => {
    const serial = ({ serialPort, serialBaud }: Settings): number[] => [serialPort, serialBaud];
    expect(serial(settings("K"))).toEqual([0x3f8, 0]);
    expect(serial(settings("--serial=ttyS1 --serial-baud=115200 K"))).toEqual([0x2f8, 115200]);
    expect(serial(settings("--serial=0x2e8 --serial-baud=0x2580 K"))).toEqual([0x2e8, 9600]);
  });
});

describe("mistakes", () => {
  const mistake = (words: string): unknown => readRequest(words.split(" "));
  const bad = (message: string, code = 1): unknown => ({ kind: "mistake", message, code, withUsage: true });
  const rows: readonly (readonly [words: string, mistake: unknown])[] = [
    ["--mem-min=zz -l K", bad("Bad option value in --mem-min=zz")],
    ["--mem-min=12q -l K", bad("Bad option value in --mem-min=12q")],
    ["--mem-max=0x -l K", bad("Bad option value in --mem-max=0x")],
    ["--mem-max=08 -l K", bad("Bad option value in --mem-max=08")],
    ["--mem-max=- -l K", bad("Bad option value in --mem-max=-")],
    ["--entry=0x10q -l K", bad("Bad option value in --entry=0x10q")],
    ["--entry=-1 -l K", bad("Bad option value in --entry=-1")],
    ["--serial=ttyS2 -l K", bad("Bad serial port base 'ttyS2'", 255)],
    ["--serial=760 -l K", bad("Bad serial port base '760'", 255)],
    ["--serial=0x10000 -l K", bad("Bad serial port base '0x10000'", 255)],
    ["--serial= -l K", bad("Bad serial port base ''", 255)],
    ["--serial-baud=7 -l K", bad("Bad serial port baud rate '7'", 255)],
    ["--serial-baud=10000 -l K", bad("Bad serial port baud rate '10000'", 255)],
    ["--serial-baud=0 -l K", bad("Bad serial port baud rate '0'", 255)],
    ["--serial-baud=bogus -l K", bad("Bad serial port baud rate 'bogus'", 255)],
    ["-?", bad("")],
    ["-l --nonsense K", bad("kexec: unrecognized option '--nonsense'")],
    ["-e --append=x", bad("kexec: --append is for a load, and none was asked for")],
    ["-S --initrd=x", bad("kexec: --initrd is for a load, and none was asked for")],
    ["-u --ramdisk=x", bad("kexec: --ramdisk is for a load, and none was asked for")],
    ["-e --dry-run", bad("kexec: --dry-run is for a load, and none was asked for")],
    ["-l --json K", bad("kexec: --json goes with --dry-run")],
  ];
  for (const [words, expected] of rows) it(words, () => expect(mistake(words)).toEqual(expected));

  const refusal = (message: string): unknown => ({ kind: "mistake", message, code: 1, withUsage: false });
  const withoutUsage: readonly (readonly [words: string, mistake: unknown])[] = [
    [
      "-l --load-preserve-context K",
      refusal(
        'Please specify memory range used by kexeced kernel\nto preserve the context of original kernel with \n"--mem-max" parameter',
      ),
    ],
    ["-s --load-preserve-context --mem-max=5 K", refusal("--load-preserve-context not supported with kexec_file_load")],
    ["-s --load-jump-back-helper", refusal("--load-jump-back-helper not supported with kexec_file_load")],
    ["--exec-live-update", refusal("--exec-live-update only works under xen, and this program loads nothing there")],
    ["--load-live-update K", refusal("--load-live-update only works under xen, and this program loads nothing there")],
  ];
  for (const [words, expected] of withoutUsage) it(words, () => expect(mistake(words)).toEqual(expected));
});

describe("what ends the reading", () => {
  const kind = (words: string): string => readRequest(words.split(" ")).kind;
  const rows: readonly (readonly [words: string, kind: string])[] = [
    ["-h -v", "help"],
    ["-l -v -h K", "version"],
    ["-h --nonsense", "help"],
    ["--nonsense -h", "mistake"],
    ["-lh K", "help"],
    ["--append -h -l K", "do"],
    ["-S --print-ckr-size", "crash-size"],
    ["--print-ckr-size --nonsense", "crash-size"],
    ["--mem-min=zz --print-ckr-size", "mistake"],
  ];
  for (const [words, expected] of rows) it(`${words}: ${expected}`, () => expect(kind(words)).toBe(expected));
});
