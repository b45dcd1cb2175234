import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { evaluateGrubConfig } from "../../../../src/formats/grub/evaluate.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";

// What the real GRUB 2.06 printed for these scripts; test/data/grub/README.md tells how it was run.
const data = new URL("../../../data/grub/", import.meta.url);

function judgedHost(script: string) {
  return memoryGrubHost(
    {
      memdisk: {
        filesystem: "tarfs",
        files: {
          "/t.cfg": script,
          "/t/file": "content\n",
          "/t/empty": "",
          "/t/dir/deep": "x",
          "/t/dar/deep": "x",
          "/t/dir/sub/x1": "x",
          "/t/inner.cfg": 'inner=yes\necho "in $config_file $config_directory"\n',
          "/t/context.cfg":
            'echo "context [$outervar] [$exported] [$?] $root"\nset_in_context=1\nexported=no\noutervar=2\nfunction functionfromcontext { echo function; }\n',
          "/t/grubenv": readFileSync(new URL("grubenv", data)),
          ...Object.fromEntries(
            ["entries.cfg", "sums", "badsums", "menu.lst"].map((name) => [
              `/t/${name}`,
              readFileSync(new URL(`language/t/${name}`, data)),
            ]),
          ),
        },
      },
      // GRUB opens anything as an image; here it has to be a filesystem.
      image0: { imageOf: "(memdisk)/t/file" },
    },
    "pc",
    "i386",
  );
}

test.each(["entries", "words", "flow", "test", "errors", "wildcards", "regexp", "commands", "files"])(
  "%s",
  async (name) => {
    const script = readFileSync(new URL(`language/${name}.cfg`, data), "utf8");
    const golden = readFileSync(new URL(`language/${name}.out`, data), "utf8");
    const { output } = await evaluateGrubConfig(judgedHost(script), { device: "memdisk", path: "/t.cfg" });

    const told = golden.split("\n").filter((line) => !line.startsWith("error: "));
    expect(output.split("\n")).toEqual(told);
  },
);
