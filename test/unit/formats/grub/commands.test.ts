import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { findCommand, grubCommands } from "../../../../src/formats/grub/commands.ts";

/** Commands that GRUB's kernel and its normal mode have without a module of their own. */
const builtIn = ["set", "unset", "export", "ls", "insmod"];
/** Of GRUB 2.12 and 2.14, of Fedora's, and of openSUSE's. */
const newer = ["efitextmode", "net_set_vlan", "blscfg", "uki", "hiddenentry"];

test.each(["i386-pc-2.06", "x86_64-efi-2.06"])("every command of %s is known", (name) => {
  const file = new URL(`../../../data/grub/commands/${name}.txt`, import.meta.url);
  const commands = readFileSync(file, "utf8").trim().split("\n");
  expect(commands.length).toBeGreaterThan(150);
  expect([...commands, ...builtIn, ...newer].filter((command) => findCommand(command) === undefined)).toEqual([]);
});

test("no command stands in the list twice", () => {
  const names = grubCommands.flatMap((command) => command.names);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});
