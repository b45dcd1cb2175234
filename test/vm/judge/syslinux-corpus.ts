/** A configuration with all that it refers to, for a real program of the family and for Slipway. */
export interface SyslinuxCase {
  readonly name: string;
  /** `syslinux` on FAT, `extlinux` on ext2, `isolinux` on a CD. */
  readonly program: "syslinux" | "extlinux" | "isolinux";
  /** Absolute path → text. The first one's directory is where the program is installed. */
  readonly configs: Readonly<Record<string, string>>;
  /** Paths of kernels, each of which tells its path when it is booted. */
  readonly kernels: readonly string[];
  /** Paths of files with content of their own: initrds, modules. */
  readonly files?: readonly string[];
  /** What the installer is to remember: `--once`, `--menu-save` with their values. */
  readonly remember?: readonly string[];
  /** Whether nothing is to be booted: the program waits for a person. */
  readonly waits?: boolean;
  /** Among the few that the short test runs. */
  readonly short?: boolean;
}

/** Two kernels and two initrds at the root. */
const plain = { kernels: ["/vmlinuz", "/other"], files: ["/initrd.img", "/second.img"] } as const;

const serial = "serial 0 115200\n";

function onDisk(name: string, text: string, more: Partial<SyslinuxCase> = {}): SyslinuxCase {
  return { name, program: "syslinux", configs: { "/syslinux/syslinux.cfg": serial + text }, ...plain, ...more };
}

function onExt(name: string, text: string, more: Partial<SyslinuxCase> = {}): SyslinuxCase {
  return { name, program: "extlinux", configs: { "/boot/extlinux/extlinux.conf": serial + text }, ...plain, ...more };
}

function onCd(name: string, text: string, more: Partial<SyslinuxCase> = {}): SyslinuxCase {
  return { name, program: "isolinux", configs: { "/isolinux/isolinux.cfg": serial + text }, ...plain, ...more };
}

export const syslinuxCorpus: readonly SyslinuxCase[] = [
  onDisk(
    "label",
    `default linux
label linux
  kernel /vmlinuz
  append root=/dev/sda1  ro   quiet
  initrd /initrd.img
label other
  kernel /other
`,
    { short: true },
  ),
  onDisk("no-options", "default linux\nlabel linux\nkernel ../vmlinuz\n"),
  onDisk(
    "default-options",
    "default linux one two=2\nappend global\nlabel linux\nkernel /vmlinuz\ninitrd /initrd.img\n",
    {
      short: true,
    },
  ),
  onDisk("implicit-kernel", "append global\ndefault /vmlinuz one initrd=/initrd.img two\n", { short: true }),
  onDisk("implicit-off", "implicit 0\ndefault /vmlinuz one\nonerror rescue x\nlabel rescue\nkernel /other\nappend r\n"),
  onDisk("append-dash", "append global\ndefault a\nlabel a\nkernel /vmlinuz\nappend -\nlabel b\nkernel /other\n"),
  onDisk("append-global", "default a\nlabel a\nkernel /vmlinuz\nappend\nlabel b\nkernel /other\nappend global\n"),
  onDisk("append-global-late", "default a\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n"),
  onDisk(
    "initrd-both",
    "default a\nlabel a\nkernel /vmlinuz\nappend x initrd=/second.img y\ninitrd /initrd.img,/second.img\n",
    { short: true },
  ),
  onDisk(
    "initrd-twice",
    "default a\nlabel a\nlinux /vmlinuz\nappend initrd=/initrd.img,/second.img initrd=/initrd.img\n",
  ),
  onDisk("initrd-in-a-word", "default a\nlabel a\nlinux /vmlinuz\nappend noinitrd=/second.img initrd=/initrd.img\n"),
  onDisk("initrd-list", "DEFAULT a\nLABEL a\nLINUX /vmlinuz\nINITRD /second.img,/initrd.img\nAPPEND Case KEPT\n"),
  onDisk(
    "initrd-missing",
    "default a\nonerror b\nlabel a\nlinux /vmlinuz\ninitrd /no.img\nlabel b\nlinux /other\nappend b\n",
  ),
  onDisk("kernel-missing", "default a z\nonerror b y\nlabel a\nlinux /no\nlabel b\nlinux /other\nappend b\n"),
  onDisk("kernel-words", "default a\nlabel a\nkernel /vmlinuz from kernel\nappend from append\n"),
  onDisk("label-twice", "default a\nlabel a\nkernel /vmlinuz\nlabel a\nkernel /other\n"),
  onDisk("label-case", "default A\nonerror b\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n"),
  onDisk(
    "directive-twice",
    "default a\nlabel a\nkernel /vmlinuz\nkernel /other\nappend one\nappend two\ndefault a late\n",
  ),
  onDisk("tabs", "default\ta\nlabel\ta\n\tkernel\t/vmlinuz\n\tappend\tone\ttwo \t \n"),
  onDisk("carriage-returns", "default a\r\nlabel a\r\n  kernel /vmlinuz\r\n  append one two\r\n"),
  onDisk("unknown-words", "# comment\n;default b\nfoo bar\ndefault a\nlabel a\nfdt /x.dtb\nkernel /vmlinuz\nquux\n"),
  onDisk("backslashes", "default a\nlabel a\nkernel \\boot\\vmlinuz\ninitrd \\BOOT\\Initrd.img\n", {
    kernels: ["/boot/vmlinuz"],
    files: ["/boot/initrd.img"],
    waits: true,
  }),
  onDisk("relative", "default a\nlabel a\nkernel vmlinuz\ninitrd ./sub/../initrd.img\n", {
    kernels: ["/syslinux/vmlinuz"],
    files: ["/syslinux/initrd.img", "/syslinux/sub/x"],
  }),
  onDisk("above-root", "default a\nlabel a\nkernel ../../../vmlinuz\n"),
  onDisk("extension", "default a\nonerror b\nlabel a\nkernel /vmlinuz-6.0\nlabel b\nlinux /vmlinuz-6.0\nappend b\n", {
    kernels: ["/vmlinuz-6.0"],
    waits: true,
  }),
  onDisk("type-linux", "default a\nlabel a\nlinux /vmlinuz.c32\nappend one\n", { kernels: ["/vmlinuz.c32"] }),
  onDisk(
    "text-block",
    "default a\nlabel a\ntext help\nkernel /other\ndefault b\nendtext\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk("include", "include more.cfg\ndefault a\nappend global\ninclude no.cfg\n", {
    configs: {
      "/syslinux/syslinux.cfg": `${serial}append global\ninclude more.cfg ignored\ndefault a\ninclude no.cfg\nlabel b\nkernel /other\n`,
      "/syslinux/more.cfg": "label a\nkernel /vmlinuz\ninclude sub/deep.cfg\n",
      "/syslinux/sub/deep.cfg": "initrd /initrd.img\n",
    },
  }),
  onDisk("timeout", "prompt 1\ntimeout 10\ndefault a\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n", {
    short: true,
  }),
  onDisk(
    "ontimeout",
    "prompt 1\ntimeout 10\nontimeout b x\ndefault a\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk(
    "ontimeout-unused",
    "prompt 0\ntimeout 10\nontimeout b\ndefault a\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk("totaltimeout", "prompt 1\ntotaltimeout 10\ndefault a\nlabel a\nkernel /vmlinuz\n"),
  onDisk("prompt-for-ever", "prompt 1\ndefault a\nlabel a\nkernel /vmlinuz\n", { waits: true }),
  onDisk("no-default", "label a\nkernel /vmlinuz\n", { waits: true }),
  onDisk("no-default-ontimeout", "timeout 10\nontimeout a\nlabel a\nkernel /vmlinuz\n"),
  onDisk("long-line", `default a\nlabel a\nkernel /vmlinuz\nappend ${"x".repeat(4080)} y\n`, { waits: true }),
  onDisk("long-options", `default a\nlabel a\nkernel /vmlinuz\nappend ${"x ".repeat(1000)}y\n`),
  onDisk("sysappend", "sysappend 0x40000\ndefault a\nlabel a\nkernel /vmlinuz\nappend one\ninitrd /initrd.img\n"),
  onDisk(
    "menu",
    `ui menu.c32
timeout 10
default b
label a
  menu label ^First
  kernel /vmlinuz
label b
  menu label ^Second
  kernel /other
  append one
`,
    { short: true },
  ),
  onDisk(
    "menu-by-default",
    "default menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\nlabel b\nmenu default\nkernel /other\n",
  ),
  onDisk("menu-first", "ui menu.c32\nprompt 1\ntimeout 10\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n"),
  onDisk(
    "menu-default-late",
    "ui menu.c32\ntimeout 10\ndefault a\nlabel a\nkernel /vmlinuz\nlabel b\nmenu default\nkernel /other\n",
  ),
  onDisk(
    "menu-default-options",
    "ui menu.c32\ntimeout 10\ndefault b more\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk(
    "menu-ontimeout",
    "ui menu.c32\ntimeout 10\nontimeout b x\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\nappend y\n",
  ),
  onDisk("menu-for-ever", "ui menu.c32\nlabel a\nkernel /vmlinuz\n", { waits: true }),
  onDisk(
    "menu-hidden",
    "ui menu.c32\nmenu hidden\ntimeout 10\ndefault b\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk("menu-shiftkey", "ui menu.c32\nmenu shiftkey\ndefault b\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n"),
  onDisk(
    "menu-heading",
    "ui menu.c32\ntimeout 10\nlabel -\nmenu label Heading\nmenu disable\nlabel a\nkernel /vmlinuz\n",
    {
      waits: true,
    },
  ),
  onDisk("menu-heading-total", "ui menu.c32\ntotaltimeout 10\nlabel -\nmenu disable\nlabel a\nkernel /vmlinuz\n", {
    waits: true,
  }),
  onDisk("menu-hide", "ui menu.c32\ntimeout 10\nlabel a\nmenu hide\nkernel /vmlinuz\nlabel b\nkernel /other\n"),
  onDisk(
    "menu-hide-default",
    "ui menu.c32\ntimeout 10\ndefault a\nlabel a\nmenu hide\nkernel /vmlinuz\nlabel b\nkernel /other\n",
  ),
  onDisk("menu-password", "ui menu.c32\ntimeout 10\nlabel a\nmenu passwd secret\nkernel /vmlinuz\nappend a\n"),
  onDisk("menu-implicit-off", "implicit 0\nui menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\n", { waits: true }),
  onDisk(
    "submenu",
    `ui menu.c32
timeout 10
default c
label a
  kernel /other
menu begin more
  menu title More
  label b
    kernel /other
  label c
    kernel /vmlinuz
  label d
    menu exit
menu end
`,
  ),
  onDisk(
    "submenu-default",
    "ui menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\nmenu begin x\nmenu default\nlabel b\nkernel /other\nmenu end\n",
    { waits: true },
  ),
  onDisk(
    "menu-start",
    "ui menu.c32\ntimeout 10\nlabel a\nkernel /other\nmenu begin x\nmenu start\nlabel b\nkernel /vmlinuz\nmenu end\n",
  ),
  onDisk(
    "menu-onerror",
    "ui menu.c32\ntimeout 10\nmenu onerror b x\nlabel a\nkernel /no\nlabel b\nkernel /other\nappend y\n",
  ),
  onDisk(
    "menu-label-words",
    "ui menu.c32\ntimeout 10\ndefault b\nlabel a b\nkernel /vmlinuz\nlabel b c\nkernel /other\n",
  ),
  onDisk(
    "menu-goto-default",
    "ui menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\nlabel g\nmenu default\nmenu goto .top\n",
    {
      waits: true,
    },
  ),
  onDisk("menu-other", "", {
    configs: {
      "/syslinux/syslinux.cfg": `${serial}ui menu.c32 sub/other.cfg\nlabel a\nkernel /other\n`,
      "/syslinux/sub/other.cfg": "timeout 10\nlabel a\nkernel vmlinuz\ninitrd /initrd.img\n",
    },
    kernels: ["/syslinux/vmlinuz", "/other", "/syslinux/sub/vmlinuz"],
  }),
  onDisk("config", "", {
    configs: {
      "/syslinux/syslinux.cfg": `${serial}default go\nappend lost\nlabel go\nconfig sub/other.cfg\nappend sub\n`,
      "/syslinux/sub/other.cfg": "default a\nlabel a\nkernel vmlinuz\nappend x\n",
    },
    kernels: ["/syslinux/vmlinuz", "/syslinux/sub/vmlinuz"],
    short: true,
  }),
  onDisk("config-same-directory", "", {
    configs: {
      "/syslinux/syslinux.cfg": `${serial}default go\nlabel go\nconfig sub/other.cfg\nappend -\n`,
      "/syslinux/sub/other.cfg": "default a\nlabel a\nkernel vmlinuz\n",
    },
    kernels: ["/syslinux/vmlinuz", "/syslinux/sub/vmlinuz"],
  }),
  onDisk("config-module", "", {
    configs: {
      "/syslinux/syslinux.cfg": `${serial}default go\nlabel go\ncom32 config\nappend sub/other.cfg\n`,
      "/syslinux/sub/other.cfg": "default a\nlabel a\nkernel vmlinuz\n",
    },
    kernels: ["/syslinux/vmlinuz", "/syslinux/sub/vmlinuz"],
  }),
  onDisk(
    "ifcpu64",
    "default a\nlabel a\nkernel ifcpu64.c32\nappend wide x -- narrow y\nlabel wide\nkernel /vmlinuz\nappend w\nlabel narrow\nkernel /other\n",
  ),
  onDisk(
    "ifcpu",
    "default a\nlabel a\nkernel ifcpu.c32\nappend 64 pae -- wide -- narrow\nlabel wide\nkernel /vmlinuz\nlabel narrow\nkernel /other\n",
  ),
  onDisk(
    "whichsys",
    "default a\nlabel a\nkernel whichsys.c32\nappend -iso- b -pxe- b -sys- c x\nlabel b\nkernel /other\nlabel c\nkernel /vmlinuz\n",
  ),
  onDisk("cmd", "default a\nlabel a\nkernel cmd.c32\nappend b  x y\nlabel b\nkernel /vmlinuz\nappend z\n"),
  onDisk(
    "linux-module",
    "default a\nlabel a\nkernel linux.c32\nappend /vmlinuz initrd=/no.img one  two initrd=/initrd.img initrd+=/second.img\n",
  ),
  onDisk(
    "multiboot",
    "default a\nlabel a\nkernel mboot.c32\nappend /vmlinuz one  two --- /initrd.img three --- /second.img\n",
    { short: true },
  ),
  onDisk(
    "com32-extension",
    "default a\nlabel a\ncom32 menu\nappend ~\ntimeout 10\nlabel b\nmenu default\nkernel /vmlinuz\n",
  ),
  onDisk("ui-extension", "ui menu\ntimeout 10\nlabel b\nkernel /vmlinuz\n", { files: ["/syslinux/menu.c32"] }),
  onDisk(
    "vesamenu",
    "default vesamenu.c32\ntimeout 10\nlabel b\nkernel /vmlinuz\nlabel c\nmenu default\nkernel /other\n",
  ),
  onExt("once", "default a\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\nappend x\n", {
    remember: ["--once=b y"],
  }),
  onExt("once-menu", "ui menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n", {
    remember: ["--once=b"],
  }),
  onExt(
    "menu-save",
    "ui menu.c32\nmenu save\ntimeout 10\ndefault a\nlabel a\nkernel /vmlinuz\nmenu begin x\nlabel b\nkernel /other\nmenu end\n",
    { remember: ["--menu-save=b"] },
  ),
  onExt("menu-save-off", "ui menu.c32\ntimeout 10\nlabel a\nkernel /vmlinuz\nlabel b\nkernel /other\n", {
    remember: ["--menu-save=b"],
  }),
  onDisk("localboot", "default a\nonerror b\nlabel a\nlocalboot -1\nlabel b\nkernel /other\n", { waits: true }),
  onDisk("utf-8", "default a\nlabel a\nmenu label \u00e9t\u00e9\nkernel /vmlinuz\nappend caf\u00e9\n"),
  onDisk("search-order", "", {
    configs: {
      "/boot/syslinux/syslinux.cfg": `${serial}default a\nlabel a\nkernel vmlinuz\n`,
      "/syslinux.cfg": "default b\nlabel b\nkernel /other\n",
    },
    kernels: ["/boot/syslinux/vmlinuz", "/other"],
  }),
  onDisk("extlinux-name", "", {
    configs: {
      "/syslinux/syslinux.cfg": "default b\nlabel b\nkernel /other\n",
      "/syslinux/extlinux.conf": `${serial}default a\nlabel a\nkernel /vmlinuz\n`,
    },
  }),
  {
    name: "extlinux",
    program: "extlinux",
    configs: {
      "/boot/extlinux/extlinux.conf": `${serial}default l0
prompt 1
timeout 10
include linux.cfg
`,
      "/boot/extlinux/linux.cfg": `label l0
	menu label Debian GNU/Linux, kernel 6.1.0-18-amd64
	linux ../vmlinuz-6.1.0-18-amd64
	initrd ../initrd.img-6.1.0-18-amd64
	append root=UUID=0d5c1a3e ro quiet sysappend
	sysappend 0x40000
label l0r
	linux ../vmlinuz-6.1.0-18-amd64
	append single
`,
    },
    kernels: ["/boot/vmlinuz-6.1.0-18-amd64"],
    files: ["/boot/initrd.img-6.1.0-18-amd64"],
  },
  onCd("isolinux", "default a\nlabel a\nkernel /vmlinuz\nappend initrd=/initrd.img one\nlabel b\nkernel /other\n", {
    short: true,
  }),
  onCd("isolinux-menu", "default vesamenu.c32\nprompt 0\ntimeout 10\ninclude menu.cfg\n", {
    configs: {
      "/isolinux/isolinux.cfg": `${serial}path\ninclude menu.cfg\ndefault vesamenu.c32\nprompt 0\ntimeout 10\n`,
      "/isolinux/menu.cfg": `menu hshift 7
menu width 61
menu title Installer boot menu
include txt.cfg
menu begin advanced
	menu label ^Advanced options
	menu title Advanced options
	label expert
		menu label E^xpert install
		kernel /install/other
		append priority=low vga=788 initrd=/install/initrd.gz ---
menu end
label help
	menu label ^Help
	text help
   Display help screens
	endtext
	config prompt.cfg
`,
      "/isolinux/txt.cfg": `label install
	menu label ^Install
	kernel /install/vmlinuz
	append vga=788 initrd=/install/initrd.gz --- quiet
`,
      "/isolinux/prompt.cfg": "prompt 1\ntimeout 0\ninclude txt.cfg\n",
    },
    kernels: ["/install/vmlinuz", "/install/other"],
    files: ["/install/initrd.gz"],
  }),
  onCd(
    "isolinux-whichsys",
    "default a\nlabel a\nkernel whichsys.c32\nappend -iso- b -pxe- c -sys- c\nlabel b\nkernel /vmlinuz\n",
  ),
];
