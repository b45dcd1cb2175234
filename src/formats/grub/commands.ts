import {
  cpuid,
  firmwareSetup,
  loadEnvironment,
  matchHardware,
  probe,
  saveEnvironment,
  search,
  searchShort,
} from "./commands-device.ts";
import { boot, devicetree, initrd, leave, linux } from "./commands-load.ts";
import {
  configFile,
  echo,
  evaluateText,
  exportVariables,
  leaveFunction,
  leaveLoops,
  menuEntry,
  normal,
  regexp,
  set,
  setParameters,
  shift,
  source,
  test,
  unset,
} from "./commands-script.ts";
import type { CommandRun, GrubCommand } from "./machine.ts";
import { grubStatus } from "./status.ts";

/** Succeeds and does nothing: it sets up a screen, a sound or a driver, or shows something. */
const nothing: CommandRun = () => grubStatus.none;
const yes: CommandRun = () => grubStatus.none;
const no: CommandRun = () => grubStatus.testFailure;

/** Not carried out: inside an entry it costs the entry, elsewhere only itself. */
function refused(reason: string): CommandRun {
  return (machine, { name }) => {
    machine.refuse(`${name}: ${reason}`);
    return grubStatus.notImplemented;
  };
}

/**
 * Every command that is known, in the words of the GRUB manual, chapter "Commands". GRUB looks for a command before it
 * looks for a function, so a name in this list cannot be a function of the configuration; what is not listed and not
 * defined there is unknown and costs its entry.
 */
export const grubCommands: readonly GrubCommand[] = [
  // The language.
  { names: ["set"], run: set },
  { names: ["unset"], run: unset },
  { names: ["export"], run: exportVariables },
  { names: ["true"], run: yes },
  { names: ["false"], run: no },
  { names: ["test", "["], run: test },
  { names: ["regexp"], run: regexp },
  { names: ["eval"], run: evaluateText },
  { names: ["echo"], run: echo },
  { names: ["return"], run: leaveFunction },
  { names: ["break", "continue"], run: leaveLoops },
  { names: ["shift"], run: shift },
  { names: ["setparams"], run: setParameters },
  // Menus.
  { names: ["menuentry", "submenu"], block: true, run: menuEntry },
  { names: ["source", "."], run: source },
  { names: ["configfile"], run: configFile },
  { names: ["normal"], run: normal },
  // Devices and what is stored on them.
  { names: ["search"], run: search },
  { names: ["search.file", "search.fs_label", "search.fs_uuid"], run: searchShort },
  { names: ["probe"], run: probe },
  { names: ["load_env"], run: loadEnvironment },
  { names: ["save_env"], run: saveEnvironment },
  // Kernels.
  { names: ["linux", "linux16", "linuxefi"], run: linux },
  { names: ["initrd", "initrd16", "initrdefi"], run: initrd },
  { names: ["devicetree"], run: devicetree },
  { names: ["boot"], run: boot },
  // The machine.
  { names: ["cpuid"], run: cpuid },
  { names: ["keystatus"], run: no },
  { names: ["hwmatch"], run: matchHardware },
  { names: ["fwsetup"], run: firmwareSetup },
  { names: ["sleep"], run: nothing },
  { names: ["exit", "normal_exit", "reboot", "halt", "halt_real", "lsb_reboot"], run: leave },
  // Drivers: they are the kernel's here.
  { names: ["insmod", "rmmod", "nativedisk", "cryptomount", "zfskey"], run: nothing },
  // Screen, keyboard and sound.
  { names: ["terminal_input", "terminal_output", "terminfo", "serial", "keymap", "clear"], run: nothing },
  { names: ["loadfont", "background_image", "background_color", "play", "gettext"], run: nothing },
  // Passwords: an entry that needs one is refused by its `superusers`.
  { names: ["password", "password_pbkdf2"], run: nothing },
  // Keys that GRUB would check files with: here the policy says whom to trust.
  { names: ["trust", "distrust", "list_trusted"], run: nothing },
  // Commands that only show something.
  {
    names: ["ls", "cat", "help", "hexdump", "list_env", "lsfonts", "lsmod", "lsmmap", "lspci", "lsacpi"],
    run: nothing,
  },
  { names: ["lsapm", "lsefi", "lsefimmap", "lsefisystab", "lssal", "videoinfo", "vbeinfo"], run: nothing },
  // Other systems and loaders.
  {
    names: ["chainloader", "pxechainloader", "ntldr", "appleloader"],
    run: refused("boots another loader, not a Linux kernel"),
  },
  {
    names: ["multiboot", "multiboot2", "module", "module2"],
    run: refused("boots a multiboot kernel, not a Linux kernel"),
  },
  {
    names: ["xen_hypervisor", "xen_linux", "xen_initrd", "xen_module", "xen_xsm"],
    run: refused("boots the Xen hypervisor, not a Linux kernel"),
  },
  {
    names: ["kfreebsd", "kfreebsd_loadenv", "kfreebsd_module", "kfreebsd_module_elf"],
    run: refused("boots FreeBSD, not a Linux kernel"),
  },
  { names: ["knetbsd", "knetbsd_module", "knetbsd_module_elf"], run: refused("boots NetBSD, not a Linux kernel") },
  { names: ["kopenbsd", "kopenbsd_ramdisk"], run: refused("boots OpenBSD, not a Linux kernel") },
  {
    names: [
      "xnu_kernel",
      "xnu_kernel64",
      "xnu_kext",
      "xnu_kextdir",
      "xnu_mkext",
      "xnu_ramdisk",
      "xnu_resume",
      "xnu_splash",
    ],
    run: refused("boots Darwin, not a Linux kernel"),
  },
  { names: ["plan9", "freedos", "truecrypt"], run: refused("boots another system, not a Linux kernel") },
  {
    names: ["legacy_source", "legacy_configfile", "legacy_kernel", "legacy_initrd", "legacy_initrd_nounzip"],
    run: refused("configuration of GRUB Legacy is not taken"),
  },
  {
    names: [
      "syslinux_source",
      "syslinux_configfile",
      "extract_syslinux_entries_source",
      "extract_syslinux_entries_configfile",
    ],
    run: refused("a syslinux configuration is found by itself, not through GRUB"),
  },
  // Not done here.
  { names: ["loopback"], run: refused("a filesystem inside a file is not taken") },
  { names: ["blscfg"], run: refused("boot loader entries are found by themselves, not through GRUB") },
  { names: ["extract_entries_source", "extract_entries_configfile"], run: refused("is not carried out here") },
  { names: ["authenticate"], run: refused("asks for a GRUB password") },
  {
    names: ["verify_detached", "file", "cmp", "hashsum", "md5sum", "sha1sum", "sha256sum", "sha512sum", "crc"],
    run: refused("a file's content is not looked at here"),
  },
  {
    names: ["read", "getenv", "date", "time", "smbios", "cmostest", "usbtest", "zfs-bootfs"],
    run: refused("its answer is not known here"),
  },
  {
    names: ["acpi", "badram", "cutmem", "drivemap", "loadbios", "fakebios", "fix_video"],
    run: refused("changes what the firmware tells the kernel"),
  },
  {
    names: [
      "parttool",
      "gptsync",
      "cmosclean",
      "cmosset",
      "hdparm",
      "setpci",
      "write_byte",
      "write_word",
      "write_dword",
      "outb",
      "outw",
      "outl",
      "wrmsr",
    ],
    run: refused("changes hardware or a disk"),
  },
  {
    names: ["net_bootp", "net_dhcp", "net_add_addr", "net_add_dns", "net_add_route", "net_nslookup"],
    run: refused("GRUB's network is not taken"),
  },
];

const commandsByName: ReadonlyMap<string, GrubCommand> = new Map(
  grubCommands.flatMap((command) => command.names.map((name) => [name, command] as const)),
);

export function findCommand(name: string): GrubCommand | undefined {
  return commandsByName.get(name);
}
