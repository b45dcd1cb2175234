import { describe, expect, test } from "vitest";
import type { IpxeMachineFacts } from "../../../../src/formats/ipxe/machine-settings.ts";
import { outcomeRow, runScript } from "./memory-host.ts";

/** A machine of which nothing is known. */
const facts: IpxeMachineFacts = {
  smbiosString: () => null,
  uuid: { raw: null, ordered: null },
  ports: [],
  hasAllPorts: false,
};

async function row(script: string): Promise<string> {
  return outcomeRow(
    await runScript(`#!ipxe\n${script}\n`, { facts, files: { "file:/k": "", "file:/i": "" }, uri: "file:/s" }),
  );
}

const why = (name: string): string => `"${name}" of the machine is not known`;

describe("settings whose value is not known", () => {
  test.each([
    ["an argument", `kernel k \${serial}\nboot`, `refused script:3 ${why("serial")}`],
    ["an initrd's place", `kernel k\ninitrd i /\${uuid}\nboot`, `refused script:4 ${why("uuid")}`],
    ["a file", `kernel \${asset}`, `refused script:2 ${why("asset")}`],
    ["a file of the network, which is missed anyway", `chain http://s/\${uuid} || boot k`, "boot script:2 file:/k | "],
    [
      "through settings",
      `set a x\${serial}\nset b:hex \${a}\nboot k \${b:hexraw}`,
      `refused script:4 ${why("serial")}`,
    ],
    ["as part of a name", `boot k \${a\${serial}}`, `refused script:2 ${why("serial")}`],
    ["with a type", `boot k \${net3/mac:hexhyp}`, `refused script:2 ${why("net3/mac")}`],
    ["a field by its number", `boot k \${smbios/1.7.0}`, `refused script:2 ${why("smbios/serial")}`],
    ["a field without a name", `boot k \${smbios/2.8.0}`, `refused script:2 ${why("smbios/2.8.0")}`],
    ["of a processor", `boot k \${cpuvendor}`, `refused script:2 ${why("cpuvendor")}`],
    ["of a block", `boot k \${pci/0.0}`, `refused script:2 ${why("pci/0.0")}`],
    ["a condition", `isset \${mac} || boot k`, `refused script:2 isset: ${why("mac")}`],
    ["a comparison", `iseq \${product} x || boot k`, `refused script:2 iseq: ${why("product")}`],
    ["a jump", `goto \${product}`, `refused script:2 goto: ${why("product")}`],
    ["a command", `\${product} k`, `refused script:2 ${why("product")}`],
    ["counting", `set a \${serial}\ninc a\nboot k`, `refused script:3 inc: ${why("serial")}`],
    ["a name of a setting", `set \${serial} x`, `refused script:2 set: ${why("serial")}`],
    ["a name of an image", `kernel --name \${serial} k`, `refused script:2 --name: ${why("serial")}`],
    ["an item's label", `menu\nitem \${serial} x`, `refused script:3 item: ${why("serial")}`],
    ["what is only shown", `echo \${serial}\nprompt --timeout 1 \${serial} ||\nboot k`, "boot script:4 file:/k | "],
    ["what is replaced", `set serial mine\nboot k \${serial}`, "boot script:3 file:/k | mine"],
    ["arguments of what is not started", `kernel k \${serial}\nimgfree k\nboot i`, "boot script:4 file:/i | "],
    ["no setting of the machine", `boot k [\${nothing}] [\${net0/ip}]`, "boot script:2 file:/k | [] []"],
  ])("%s", async (_, script, expected) => {
    expect(await row(script)).toBe(expected);
  });

  test("they are shown by their names", async () => {
    const script = `#!ipxe\necho a \${serial}\nset x \${net0/mac:hexhyp}-\nshow x\n`;
    const { output, variables } = await runScript(script, { facts });
    expect(output).toBe(`a \${serial}\nx:string = \${net0/mac}-\n`);
    expect(variables.map(({ name, value }) => [name, value])).toEqual([["x", `\${net0/mac}-`]]);
  });
});
