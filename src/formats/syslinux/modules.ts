import { quote } from "../format-error.ts";
import type { SyslinuxVariant } from "./host.ts";
import { Refusal } from "./load.ts";
import { type ByteText, shownText } from "./text.ts";

/** What COM32 modules do that boot no kernel, for a reason that names it. */
const purposes: Readonly<Record<string, string>> = {
  "chain.c32": "starts another boot loader",
  "pxechn.c32": "starts another network boot program",
  "sanboot.c32": "starts a disk of the network",
  "ifplop.c32": "asks for another boot manager",
  "ifmemdsk.c32": "asks how memdisk was started",
  "memdisk.c32": "starts a disk's image by the BIOS",
  "kontron_wdt.c32": "sets a watchdog of one maker's machines",
  "reboot.c32": "restarts the machine",
  "poweroff.c32": "switches the machine off",
  "ethersel.c32": "asks which network cards there are",
  "elf.c32": "starts an ELF program without its protocol",
  "sdi.c32": "starts a disk's image by the BIOS",
  "lua.c32": "runs a script of another language",
  "rosh.c32": "is a shell for people",
  "cmenu.c32": "is a menu that is compiled in",
  "hdt.c32": "shows the machine's hardware",
};

const leaving: ReadonlySet<string> = new Set(["chain.c32", "pxechn.c32", "reboot.c32", "poweroff.c32"]);

export function refuseModule(name: string): Refusal {
  const purpose = purposes[name];
  return new Refusal(
    purpose === undefined
      ? `${quote(name)}: a COM32 module, a program for syslinux alone`
      : `${quote(name)} ${purpose}, it boots no kernel`,
    leaving.has(name),
  );
}

/** `A -- B -- C` of ifcpu64.c32: with 64 bits, with PAE, with neither. */
export function chooseByWidth(words: readonly ByteText[], cpu: string): ByteText {
  const [wide = "", ...others] = splitAtDashes(words, 3);
  if (cpu === "x86_64") return wide;
  if (!isX86(cpu)) throw new Refusal(`ifcpu64.c32: an x86 processor expected, this one is ${quote(cpu)}`);
  if (others.length > 1) throw new Refusal("ifcpu64.c32: whether the processor has PAE is not known");
  return others[0] ?? wide;
}

/** `FEATURES -- A -- B` of ifcpu.c32. */
export function chooseByFeatures(words: readonly ByteText[], cpu: string): ByteText {
  const [features = "", first = "", second = first] = splitAtDashes(words, 3);
  if (!isX86(cpu)) throw new Refusal(`ifcpu.c32: an x86 processor expected, this one is ${quote(cpu)}`);
  let holds = true;
  for (const feature of features.split(" ").filter((word) => word !== "" && word !== "debug")) {
    if (feature === "dry-run") throw new Refusal("ifcpu.c32 dry-run: boots no kernel");
    if (feature === "64") holds &&= cpu === "x86_64";
    else if (feature !== "pae" || cpu !== "x86_64") {
      throw new Refusal(`ifcpu.c32 ${quote(shownText(feature))}: whether the processor has that is not known`);
    }
  }
  return holds ? first : second;
}

/** `-iso- A -pxe- B -sys- C` of whichsys.c32. */
export function chooseByVariant(words: readonly ByteText[], variant: SyslinuxVariant): ByteText {
  const wanted = { syslinux: "-sys-", isolinux: "-iso-", pxelinux: "-pxe-" }[variant];
  const start = words.lastIndexOf(wanted);
  if (start < 0) throw new Refusal(`whichsys.c32: no command for ${variant}`);
  const rest = words.slice(start + 1);
  const end = rest.findIndex((word) => word === "-sys-" || word === "-iso-" || word === "-pxe-");
  return (end < 0 ? rest : rest.slice(0, end)).join(" ");
}

function isX86(cpu: string): boolean {
  return cpu === "x86_64" || /^i[3-6]86$/.test(cpu);
}

/** The commands between `--`, at most so many; the last one takes the rest. */
function splitAtDashes(words: readonly ByteText[], partsMax: number): ByteText[] {
  const parts: ByteText[][] = [[]];
  for (const word of words) {
    if (word === "--" && parts.length < partsMax) parts.push([]);
    else parts.at(-1)?.push(word);
  }
  return parts.map((part) => part.join(" "));
}
