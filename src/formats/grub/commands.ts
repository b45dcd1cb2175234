import { date, hiddenEntry, time, translate, unanswered } from "./commands-answer.ts";
import { blscfg } from "./commands-bls.ts";
import {
  cpuid,
  firmwareSetup,
  loadEnvironment,
  loopback,
  matchHardware,
  probe,
  saveEnvironment,
  search,
  searchShort,
} from "./commands-device.ts";
import { compareFiles, fileType, hashSum } from "./commands-file.ts";
import { legacyInitrd, legacyKernel, legacySource } from "./commands-legacy.ts";
import { boot, devicetree, initrd, leave, linux, multiboot, multibootModule } from "./commands-load.ts";
import {
  configFile,
  echo,
  evaluateText,
  exportVariables,
  extractEntries,
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
import { syslinuxSource } from "./commands-syslinux.ts";
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
  { names: ["set"], extractor: true, run: set },
  { names: ["unset"], run: unset },
  { names: ["export"], run: exportVariables },
  { names: ["true"], run: yes },
  { names: ["false"], run: no },
  { names: ["test", "["], extractor: true, run: test },
  { names: ["regexp"], run: regexp },
  { names: ["eval"], run: evaluateText },
  { names: ["echo"], run: echo },
  { names: ["return"], run: leaveFunction },
  { names: ["break", "continue"], run: leaveLoops },
  { names: ["shift"], run: shift },
  { names: ["setparams"], run: setParameters },
  { names: ["time"], run: time },
  { names: ["tr"], run: translate },
  // Menus.
  { names: ["menuentry", "submenu"], block: true, extractor: true, run: menuEntry },
  { names: ["hiddenentry"], block: true, run: hiddenEntry },
  { names: ["source", "."], run: source },
  { names: ["configfile"], run: configFile },
  { names: ["extract_entries_source", "extract_entries_configfile"], run: extractEntries },
  { names: ["blscfg", "bls_import"], run: blscfg },
  { names: ["normal"], run: normal },
  // Configurations of other loaders, translated as GRUB does it.
  {
    names: ["legacy_source", "legacy_configfile", "extract_legacy_entries_source", "extract_legacy_entries_configfile"],
    run: legacySource,
  },
  {
    names: [
      "syslinux_source",
      "syslinux_configfile",
      "extract_syslinux_entries_source",
      "extract_syslinux_entries_configfile",
    ],
    run: syslinuxSource,
  },
  // Devices and what is stored on them.
  { names: ["search"], run: search },
  { names: ["search.file", "search.fs_label", "search.fs_uuid"], run: searchShort },
  { names: ["probe"], run: probe },
  { names: ["load_env"], run: loadEnvironment },
  { names: ["save_env"], run: saveEnvironment },
  { names: ["loopback"], run: loopback },
  { names: ["file"], run: fileType },
  { names: ["cmp"], run: compareFiles },
  { names: ["hashsum", "md5sum", "sha1sum", "sha256sum", "sha512sum", "crc"], run: hashSum },
  // Kernels.
  { names: ["linux", "linux16", "linuxefi"], run: linux },
  { names: ["initrd", "initrd16", "initrdefi"], run: initrd },
  { names: ["multiboot", "multiboot2"], run: multiboot },
  { names: ["module", "module2"], run: multibootModule },
  { names: ["legacy_kernel"], run: legacyKernel },
  { names: ["legacy_initrd", "legacy_initrd_nounzip"], run: legacyInitrd },
  { names: ["devicetree"], run: devicetree },
  { names: ["boot"], run: boot },
  // The machine.
  { names: ["cpuid"], run: cpuid },
  { names: ["keystatus"], run: no },
  { names: ["hwmatch"], run: matchHardware },
  { names: ["fwsetup"], run: firmwareSetup },
  { names: ["sleep"], run: nothing },
  { names: ["date"], run: date },
  { names: ["smbios"], run: unanswered("the firmware's tables are not asked", grubStatus.io) },
  { names: ["getenv"], run: unanswered("the firmware's variables are not asked", grubStatus.badArgument) },
  {
    names: ["rdmsr", "inb", "inw", "inl", "read_byte", "read_word", "read_dword", "cmostest", "usbtest"],
    run: unanswered("the hardware is not asked", grubStatus.testFailure),
  },
  { names: ["zfs-bootfs"], run: unanswered("ZFS is not read", grubStatus.testFailure) },
  { names: ["net_get_dhcp_option"], run: unanswered("there is no lease", grubStatus.testFailure) },
  { names: ["exit", "normal_exit", "reboot", "halt", "halt_real", "lsb_reboot"], run: leave },
  // Drivers: they are the kernel's here.
  { names: ["insmod", "rmmod", "nativedisk", "cryptomount", "zfskey", "btrfs-mount-subvol"], run: nothing },
  { names: ["efiemu_loadcore", "efiemu_prepare", "efiemu_unload"], run: nothing },
  // Screen, keyboard and sound.
  { names: ["terminal_input", "terminal_output", "terminfo", "serial", "keymap", "clear"], run: nothing },
  { names: ["loadfont", "background_image", "background_color", "play", "gettext", "efitextmode"], run: nothing },
  { names: ["videotest", "vbetest", "915resolution", "sendkey"], run: nothing },
  // Passwords: an entry that needs one is refused by its `superusers`.
  { names: ["password", "password_pbkdf2", "legacy_password"], run: nothing },
  // Keys that GRUB would check files with: here the policy says whom to trust.
  { names: ["trust", "distrust", "list_trusted"], run: nothing },
  // Commands that only show something.
  {
    names: ["ls", "cat", "help", "hexdump", "list_env", "lsfonts", "lsmod", "lsmmap", "lspci", "lsacpi"],
    run: nothing,
  },
  { names: ["dump", "blocklist", "hello", "pcidump", "hexdump_random", "testload", "testspeed", "usb"], run: nothing },
  { names: ["cbmemc", "cmosdump", "coreboot_boottime", "lscoreboot", "zfsinfo", "backtrace"], run: nothing },
  { names: ["net_ls_addr", "net_ls_cards", "net_ls_dns", "net_ls_routes"], run: nothing },
  { names: ["lsapm", "lsefi", "lsefimmap", "lsefisystab", "lssal", "videoinfo", "vbeinfo"], run: nothing },
  // Other systems and loaders.
  {
    names: ["chainloader", "pxechainloader", "ntldr", "appleloader"],
    run: refused("boots another loader, not a Linux kernel"),
  },
  {
    names: ["xen_hypervisor", "xen_linux", "xen_initrd", "xen_module", "xen_xsm"],
    run: refused("boots the Xen hypervisor of Arm, which needs its firmware"),
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
      "xnu_devprop_load",
      "xnu_uuid",
    ],
    run: refused("boots Darwin, not a Linux kernel"),
  },
  { names: ["plan9", "freedos", "truecrypt"], run: refused("boots another system, not a Linux kernel") },
  // Not done here.
  { names: ["uki"], run: refused("unified kernel images are found by themselves, not through GRUB") },
  { names: ["authenticate", "legacy_check_password"], run: refused("asks for a GRUB password") },
  { names: ["verify_detached"], run: refused("whom to trust is the image's to say") },
  { names: ["read"], run: refused("waits for somebody to type") },
  { names: ["gdbstub", "gdbstub_break", "gdbstub_stop"], run: refused("waits for a debugger") },
  {
    names: ["functional_test", "all_functional_test", "test_blockarg"],
    run: refused("tests GRUB itself"),
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
      "macppcbless",
      "mactelbless",
    ],
    run: refused("changes hardware or a disk"),
  },
  {
    names: [
      "net_bootp",
      "net_bootp6",
      "net_dhcp",
      "net_ipv6_autoconf",
      "net_add_addr",
      "net_add_dns",
      "net_add_route",
      "net_del_addr",
      "net_del_dns",
      "net_del_route",
      "net_nslookup",
      "net_set_vlan",
    ],
    run: refused("GRUB's network is not taken"),
  },
];

const commandsByName: ReadonlyMap<string, GrubCommand> = new Map(
  grubCommands.flatMap((command) => command.names.map((name) => [name, command] as const)),
);

export function findCommand(name: string): GrubCommand | undefined {
  return commandsByName.get(name);
}
