import { describe, expect, test } from "vitest";
import { kbootLabelsMax, parseKboot } from "../../../src/formats/kboot.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

function rows(text: string): string[] {
  return parseKboot(text).entries.map(({ label, line, kernel, initrd, options }) => {
    const file = (each: typeof initrd) => (each === null ? "-" : `${each.device ?? ""}:${each.path}`);
    return `${line} ${label} ${file(kernel)} ${file(initrd)} |${options}|`;
  });
}

describe("parseKboot", () => {
  // In the style of Yellow Dog Linux and of Ubuntu for the PS3.
  test("labels, globals above them, comments", () => {
    const text = `# kboot.conf
default=ydl
timeout=10
message=/etc/kboot.msg
early='/vmlinux'
root=/dev/sda1
initrd=/all.img
ydl='/dev/sda1:/vmlinux-2.6 initrd=/dev/sda1:/initrd-2.6.img root=LABEL=/ init=/sbin/init video=ps3fb:mode:3 rhgb'
live="/casper/vmlinux  file=/cdrom/preseed boot=casper quiet --"
\tuuid = 'UUID=1-2:vmlinux' \r
bare
#x=/y
none=
x=# comment
`;
    expect(rows(text)).toEqual([
      "5 early :/vmlinux - ||",
      "8 ydl /dev/sda1:/vmlinux-2.6 /dev/sda1:/initrd-2.6.img |root=LABEL=/ init=/sbin/init video=ps3fb:mode:3 rhgb|",
      "9 live :/casper/vmlinux :/all.img |root=/dev/sda1 file=/cdrom/preseed boot=casper quiet --|",
      "10 uuid UUID=1-2:/vmlinux :/all.img |root=/dev/sda1|",
    ]);
    expect(parseKboot(text)).toMatchObject({ default: "ydl", problems: [] });
  });

  test.each([
    ["a=/../k", 'kernel "/../k": the path leaves the volume'],
    ["a=sda1:/", 'kernel "sda1:/": a path expected'],
    ["a=http://host/k", 'kernel "http://host/k": a file of a volume expected, not of a server'],
    ["a=/k initrd=tftp://host/i", 'initrd "tftp://host/i": a file of a volume expected, not of a server'],
  ])("%j costs itself", (line, text) => {
    const { entries, problems } = parseKboot(`${line}\nb=/k\n`);
    expect(problems).toEqual([{ line: 1, label: "a", text }]);
    expect(entries.map(({ label }) => label)).toEqual(["b"]);
  });

  test("limits", () => {
    expect(formatErrorOf(() => parseKboot("x".repeat((1 << 20) + 1)))).toBe(
      "kboot: 1048577 characters, at most 1048576 are taken",
    );
    expect(parseKboot(`a=${"x".repeat(65_536)}`).problems).toEqual([
      { line: 1, label: null, text: "65538 characters, at most 65536 are taken" },
    ]);
    expect(formatErrorOf(() => parseKboot("a=/k\n".repeat(kbootLabelsMax + 1)))).toBe(
      "kboot: line 1001: more than 1000 labels, at most so many are taken",
    );
  });

  test("hostile texts", () => {
    const bytes = new TextEncoder().encode("default=a\nroot=/dev/sda1\na='sda1:/k initrd=UUID=x:/i a=b c'\n");
    tortureParser({ bytes, parse: (text) => parseKboot(new TextDecoder().decode(text)), rounds: 500, seed: 3 });
  });
});
