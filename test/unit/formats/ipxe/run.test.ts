import { describe, expect, test } from "vitest";
import type { IpxeLimits } from "../../../../src/formats/ipxe/limits.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { ipxeCorpus } from "../../../vm/judge/ipxe-corpus.ts";
import { type MemoryIpxe, outcomeRow, runScript } from "./memory-host.ts";

const files = { "/vmlinuz": "kernel", "/initrd.img": "initrd", "/tree.dtb": "tree" };

/** What a script under `#!ipxe` comes to; names are those of a server at 10.0.2.2. */
async function comesTo(script: string, world: MemoryIpxe = {}): Promise<string> {
  return outcomeRow(await runScript(`#!ipxe\n${script}\n`, { files, uri: "tftp://10.0.2.2/s.ipxe", ...world }));
}

/** What it prints. */
async function prints(script: string, world: MemoryIpxe = {}): Promise<string> {
  return (await runScript(`#!ipxe\n${script}\n`, { files, uri: "tftp://10.0.2.2/s.ipxe", ...world })).output;
}

describe("what a run comes to", () => {
  test("a boot, with its place", async () => {
    expect(await comesTo("kernel vmlinuz a  b\ninitrd initrd.img\nboot")).toBe(
      "boot script:4 /vmlinuz | a b | /initrd.img",
    );
    expect(await comesTo("kernel vmlinuz && initrd initrd.img /a/b mode=700 mkdir=-1 && fdt tree.dtb\nboot")).toBe(
      "boot script:3 /vmlinuz |  | /initrd.img as /a/b 700 Infinity | devicetree /tree.dtb",
    );
    expect(await comesTo("kernel vmlinuz\nimgextract --name x initrd.img\nimgargs vmlinuz initrd=x\nboot")).toBe(
      "boot script:5 /vmlinuz | initrd=x | /initrd.img",
    );
    expect(await comesTo("shim initrd.img\nboot vmlinuz")).toBe("boot script:3 /vmlinuz | ");
  });

  test("an end, in the script where it came", async () => {
    const more = { ...files, "/a.ipxe": "#!ipxe\necho a\nfoo\n", "/b.ipxe": "#!ipxe\nexit 2\n" };
    expect(await comesTo("echo one")).toBe("ended script:2 it ends without starting a kernel");
    expect(await comesTo("chain a.ipxe", { files: more })).toBe('ended /a.ipxe:3 "foo": there is no such command');
    expect(await comesTo("chain b.ipxe", { files: more })).toBe("ended /b.ipxe:2 exit: it ends with code 2");
    expect(await comesTo("chain a.ipxe || kernel x", { files: more })).toBe(
      'ended script:2 kernel: fetch "/x": there is no such file',
    );
    expect(await comesTo("chain b.ipxe || echo on", { files: more })).toBe(
      "ended script:2 it ends without starting a kernel",
    );
    expect(await comesTo("goto nowhere")).toBe('ended script:2 goto: there is no label "nowhere"');
    expect(await comesTo("exit || echo no\necho no")).toBe("ended script:2 it ends without starting a kernel");
  });

  test("a multiboot boot", async () => {
    expect(await comesTo("kernel vmlinuz dom0\nmodule initrd.img a b\nboot", { multiboot: true })).toBe(
      "boot script:4 /vmlinuz | dom0 | /initrd.img (a b)",
    );
    expect(await comesTo("kernel vmlinuz\nmodule initrd.img a\nboot", { multiboot: "packed" })).toBe(
      "boot script:4 /vmlinuz |  | /initrd.img (a)",
    );
    expect(await comesTo("kernel vmlinuz\ninitrd initrd.img\nboot", { multiboot: "packed" })).toBe(
      "boot script:4 /vmlinuz |  | /initrd.img",
    );
  });

  test("trust", async () => {
    expect(await comesTo("imgtrust\nboot vmlinuz")).toBe('ended script:3 boot: "vmlinuz" is not verified');
    expect(await comesTo("imgtrust --permanent\nimgtrust --allow || boot vmlinuz")).toBe(
      'ended script:3 boot: "vmlinuz" is not verified',
    );
    expect(await comesTo("imgtrust\nimgtrust --allow\nboot vmlinuz")).toBe("boot script:4 /vmlinuz | ");
  });
});

describe("what a host answers", () => {
  test("menus", async () => {
    const menu = `menu M\nitem a A\nitem b B\nchoose x && echo [\${x}] || echo none`;
    expect(await prints(menu, { choices: ["b"] })).toBe("[b]\n");
    expect(await prints(menu, { choices: ["cancel"] })).toBe("none\n");
    expect(await prints("form F\nitem a A\npresent || echo no")).toBe("");
  });

  test("keys and lines", async () => {
    expect(await prints("prompt --key s --timeout 5 Go && echo yes || echo no", { keys: [0x73] })).toBe("yes\n");
    expect(await prints("prompt --key 0x02 Go && echo yes || echo no", { keys: [0x73] })).toBe("no\n");
    expect(await prints(`prompt --set key:uint16 Go && echo \${key}`, { keys: [0x73] })).toBe("0x73\n");
    expect(await prints(`read name && echo \${name}`, { lines: ["täst"] })).toBe("t\u00c3\u00a4st\n");
    expect(await prints(`login && echo \${username}:\${password}`, { lines: ["me", "secret"] })).toBe("me:secret\n");
  });

  test("form parameters go with the URI that names them", async () => {
    const form = { ...files, 'http://h/x##[["mac","1 2"]]': "kernel" };
    const script = "params\nparam mac 1 2\nkernel http://h/x##params\nboot";
    expect(await comesTo(script, { files: form, hasNetwork: true })).toMatch(/^boot script:5 /);
    expect(await comesTo("param a b")).toBe("ended script:2 param: there is no list of parameters");
  });

  test("devices of the PCI bus, one after the other", async () => {
    const script = `:next\npciscan dev || goto done\necho \${dev}\ngoto next\n:done\necho [\${dev}]`;
    expect(await prints(script, { pciDevices: [0x08, 0x0102] })).toBe("0000:00:01.0\n0000:01:00.2\n[]\n");
  });

  test("show", async () => {
    expect(await prints("set a/b foo\nshow a/b\nset x:int32 6\nshow x\nset hostname h\nshow 12")).toBe(
      "a/b:string = foo\nx:int32 = 6\nhostname:string = h\n",
    );
  });
});

describe("limits", () => {
  const refused = async (script: string, limits: Partial<IpxeLimits>, reason: string): Promise<void> => {
    const row = await comesTo(script, { limits });
    expect(row.replace(/^\w+ script:\d+ /, "")).toBe(reason);
  };

  test.each<[string, Partial<IpxeLimits>, string]>([
    [":a\ngoto a", { stepsMax: 100 }, "more than 100 steps"],
    [`set b:base64 JHtiOnN0cmluZ30=\necho \${b:string}`, { stepsMax: 100 }, "more than 100 steps"],
    ["chain s.ipxe", {}, "scripts more than 24 deep"],
    [":a\nchain t.ipxe\ngoto a", { scriptRunsMax: 5 }, "more than 5 scripts run"],
    ["chain t.ipxe", { allScriptsBytesMax: 20 }, "scripts of more than 20 bytes together"],
    [":a\nimgfetch vmlinuz\nimgfree\ngoto a", { fetchesMax: 3 }, "more than 3 files fetched"],
    [":a\nimgfetch vmlinuz\ngoto a", { imagesMax: 3 }, "more than 3 images"],
    ["echo a b c d", { wordsMax: 4 }, "5 words in a line, at most 4 are taken"],
    ["echo aaaaaa bbbbb", { commandBytesMax: 10 }, "a command of more than 10 bytes"],
    [`set a aaaaaa\necho \${a}\${a}`, { commandBytesMax: 10 }, "a word of more than 10 bytes"],
    ["set a aaaa", { valueBytesMax: 3 }, 'set: store "a": 4 bytes, at most 3 are taken'],
    ["set a 1\nset b 2", { settingsMax: 1 }, 'set: store "b": more settings than are kept'],
    ["set a 11\nset b 22", { allValuesBytesMax: 3 }, 'set: store "b": more settings than are kept'],
    ["set a.b.c/d 1", { blocksMax: 2 }, "set: more than 2 settings blocks"],
    ["menu a\nmenu --name b b", { menusMax: 1 }, "menu: more than 1 menus"],
    ["menu a\nitem a\nitem b", { menuItemsMax: 1 }, "item: more than 1 items"],
    [":a\nmenu M\nitem a\nchoose --timeout 1 x\ngoto a", { choicesMax: 3 }, "more than 3 menus are shown"],
  ])("%j", async (script, limits, reason) => {
    const more = { ...files, "/s.ipxe": "#!ipxe\nchain s.ipxe\n", "/t.ipxe": "#!ipxe\necho t\n" };
    if (script.includes(".ipxe")) {
      const row = await comesTo(script, { limits, files: more });
      expect(row).toContain(reason);
    } else await refused(script, limits, reason);
  });

  test("output and messages are kept up to a size", async () => {
    const run = await runScript("#!ipxe\necho abcdef\necho gh\nfoo ||\nbar ||\n", {
      limits: { outputBytesMax: 5, messagesMax: 1 },
    });
    expect(run.output).toBe("abcde");
    expect(run.problems).toEqual([{ place: { script: "script", line: 4 }, text: '"foo": there is no such command' }]);
  });
});

test("whatever a script says, a run ends and says why", async () => {
  const random = randomNumbers(4711);
  const seeds = ipxeCorpus.map(({ script }) => new TextEncoder().encode(script));
  for (let round = 0; round < 300; round++) {
    const script = (seeds[round % seeds.length] ?? new Uint8Array()).slice();
    for (let change = 0; change <= round % 6; change++) {
      const from = random() % script.length;
      const kind = random() % 3;
      if (kind === 0) script[7 + (from % (script.length - 7))] = random() >>> 3;
      else
        script.copyWithin(7 + (from % (script.length - 7)), random() % script.length, (random() % script.length) + 9);
    }
    const { outcome } = await runScript(script, { files, hasNetwork: true, limits: { stepsMax: 2000 } });
    if (outcome.kind !== "boot") expect(outcome.reason).not.toBe("");
    expect(outcome.place.line).toBeGreaterThan(0);
  }
});
