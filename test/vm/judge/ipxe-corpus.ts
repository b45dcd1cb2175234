/** A script that boots, with the files on the server beside it, and what the real iPXE boots. */
export interface IpxeCase {
  readonly name: string;
  readonly script: string;
  /** Further scripts, by path. */
  readonly scripts?: Readonly<Record<string, string>>;
  /** Path of the kernel, its arguments, and its initrds in order: `<path>`, or `name mode <path>` for one in an archive. */
  readonly boots: readonly [kernel: string, options: string, ...initrds: string[]];
}

/** Kernels and other files that every case has on its server. */
export const judgedKernels = ["vmlinuz", "rescue/vmlinuz"] as const;
export const judgedFiles = ["initrd.img", "extra.img", "conf", "rescue/initrd.img"] as const;

/** What a file other than a kernel holds. */
export function judgedContent(file: string): string {
  return `<${file}>`;
}

/**
 * Scripts that the real iPXE was run on; each starts with an interface that has no address yet. The last ones are in the
 * manner of the servers whose names they have.
 */
export const ipxeCorpus: readonly IpxeCase[] = [
  {
    name: "kernel, initrd, boot",
    script: `#!ipxe
dhcp
kernel vmlinuz root=/dev/sda1   ro  quiet initrd=initrd.img
initrd initrd.img
boot
`,
    boots: ["vmlinuz", "root=/dev/sda1 ro quiet initrd=initrd.img", "<initrd.img>"],
  },
  {
    name: "all images that are there are the initrd, in order, whatever the kernel's arguments name",
    script: `#!ipxe
dhcp net0
initrd --name one initrd.img
imgfetch extra.img
kernel vmlinuz initrd=one
module rescue/initrd.img
boot
`,
    boots: ["vmlinuz", "initrd=one", "<initrd.img>", "<extra.img>", "<rescue/initrd.img>"],
  },
  {
    name: "files in archives",
    script: `#!ipxe
dhcp
initrd initrd.img
initrd conf /etc/app/conf
initrd extra.img bin/tool mode=755
initrd --name x conf plain other=1 mode=0600
kernel vmlinuz
boot
`,
    boots: ["vmlinuz", "", "<initrd.img>", "etc/app/conf 644 <conf>", "bin/tool 755 <extra.img>", "plain 600 <conf>"],
  },
  {
    name: "imgargs replaces, imgfree forgets, imgselect chooses",
    script: `#!ipxe
dhcp
kernel --name first vmlinuz a=1
kernel --name second rescue/vmlinuz b=2
initrd initrd.img
initrd extra.img
imgargs first c=3 \${next-server}
imgfree extra.img
imgselect first
imgfree second
boot
`,
    boots: ["vmlinuz", "c=3 10.0.2.2", "<initrd.img>"],
  },
  {
    name: "a kernel that was fetched and is not booted is part of the initrd no more once it is freed",
    script: `#!ipxe
dhcp
kernel rescue/vmlinuz old=1
imgfree
initrd extra.img
boot vmlinuz new=1
`,
    boots: ["vmlinuz", "new=1", "<extra.img>"],
  },
  {
    name: "boot with arguments of its own",
    script: `#!ipxe
dhcp
kernel vmlinuz old
initrd initrd.img
boot vmlinuz new arguments
`,
    boots: ["vmlinuz", "new arguments", "<initrd.img>"],
  },
  {
    name: "a script that was chained to stays an image",
    script: `#!ipxe
dhcp
chain settings.ipxe
kernel vmlinuz \${arguments}
initrd initrd.img
boot
`,
    scripts: { "settings.ipxe": "#!ipxe\nset arguments from=script\n" },
    boots: ["vmlinuz", "from=script", "#!ipxe\nset arguments from=script\n", "<initrd.img>"],
  },
  {
    name: "a script that is freed when it was run",
    script: `#!ipxe
dhcp
chain --autofree settings.ipxe && kernel vmlinuz \${arguments}
initrd initrd.img
boot
`,
    scripts: { "settings.ipxe": "#!ipxe\nset arguments from=script\nexit\nset arguments late\n" },
    boots: ["vmlinuz", "from=script", "<initrd.img>"],
  },
  {
    name: "chain --replace ends the script",
    script: `#!ipxe
dhcp
initrd initrd.img
chain --replace --autofree sub/next.ipxe || goto no
goto no
:no
kernel rescue/vmlinuz
boot
`,
    scripts: { "sub/next.ipxe": "#!ipxe\nkernel ../vmlinuz replaced=1\nboot\n" },
    boots: ["vmlinuz", "replaced=1", "<initrd.img>"],
  },
  {
    name: "relative names are those of the script that has them",
    script: `#!ipxe
dhcp
chain rescue/boot.ipxe
`,
    scripts: {
      "rescue/boot.ipxe":
        "#!ipxe\nkernel vmlinuz at=rescue\ninitrd ../extra.img\ninitrd /conf\ninitrd ./initrd.img\nboot\n",
    },
    boots: ["rescue/vmlinuz", "at=rescue", "<extra.img>", "<conf>", "<rescue/initrd.img>"],
  },
  {
    name: "failures and what follows them",
    script: `#!ipxe
dhcp || goto failed
kernel missing || kernel vmlinuz fallback=1
initrd missing || echo no such file
initrd initrd.img && imgargs vmlinuz \${net0/ip} mac=\${mac:hexhyp}
iseq \${platform} efi && imgargs vmlinuz efi ||
boot || goto failed
:failed
kernel rescue/vmlinuz
boot
`,
    boots: ["vmlinuz", "10.0.2.15 mac=52-54-00-12-34-56", "<initrd.img>"],
  },
  {
    name: "a failed script lets its caller go on",
    script: `#!ipxe
dhcp
chain --autofree bad.ipxe || set why \${step}
kernel vmlinuz why=\${why}
boot
`,
    scripts: { "bad.ipxe": "#!ipxe\nset step one\nfoo\nset step two\n" },
    boots: ["vmlinuz", "why=one"],
  },
  {
    name: "a menu with a time-out and a default",
    script: `#!ipxe
dhcp
menu Boot
item --gap -- Systems
item debian Debian
item --default rescue Rescue
choose --timeout 300 system && goto \${system}
:debian
kernel vmlinuz
boot
:rescue
kernel rescue/vmlinuz menu=\${system}
initrd rescue/initrd.img
boot
`,
    boots: ["rescue/vmlinuz", "menu=rescue", "<rescue/initrd.img>"],
  },
  {
    name: "loops and counters",
    script: `#!ipxe
dhcp
set n:int32 0
set words
:again
set words \${words} w\${n}
inc n
iseq \${n} 4 || goto again
kernel vmlinuz n=\${n} hex=\${n:hex}\${words}
boot
`,
    boots: ["vmlinuz", "n=4 hex=00:00:00:04 w0 w1 w2 w3"],
  },
  {
    name: "quotes and odd words go to the kernel as they are",
    script: `#!ipxe
dhcp
set a two  words
kernel vmlinuz "a b" 'c' \\d \${a} -- $x \${nothing} k=\${nothing}; & | e#f # comment
boot
`,
    boots: ["vmlinuz", `"a b" 'c' \\d two words -- $x  k=; & | e#f`],
  },
  {
    name: "matchbox",
    script: `#!ipxe
dhcp
chain ipxe/boot.ipxe
`,
    scripts: {
      "ipxe/boot.ipxe": `#!ipxe
chain by-\${uuid}-\${mac:hexhyp}.ipxe
`,
      "ipxe/by-564d0000-1111-2222-3333-444455556666-52-54-00-12-34-56.ipxe": `#!ipxe
kernel tftp://10.0.2.2/vmlinuz initrd=initrd.img ignition.config.url=http://matchbox/ignition?uuid=\${uuid}&mac=\${mac:hexhyp}
initrd tftp://10.0.2.2/initrd.img
imgfree boot.ipxe ||
boot
`,
    },
    boots: [
      "vmlinuz",
      "initrd=initrd.img ignition.config.url=http://matchbox/ignition?uuid=564d0000-1111-2222-3333-444455556666&mac=52-54-00-12-34-56",
      "<initrd.img>",
    ],
  },
  {
    name: "pixiecore",
    script: `#!ipxe
dhcp
kernel --name kernel tftp://\${next-server}/vmlinuz
initrd --name initrd0 tftp://\${next-server}/initrd.img
initrd --name initrd1 tftp://\${next-server}/extra.img
imgfetch --name ready tftp://\${next-server}/conf ||
imgfree ready ||
boot kernel initrd=initrd0 initrd=initrd1 coreos.autologin=ttyS0
`,
    boots: ["vmlinuz", "initrd=initrd0 initrd=initrd1 coreos.autologin=ttyS0", "<initrd.img>", "<extra.img>"],
  },
  {
    name: "Foreman",
    script: `#!ipxe
dhcp
set net \${netX/ip}
set num:int32 0
iseq \${net0/mac} \${nothing} || set mac \${net0/mac}
set hosts url=foreman/unattended?mac=\${mac}
:loop
isset \${net\${num}/mac} || goto done
echo net\${num} is a \${net\${num}/chip}
inc num
goto loop
:done
kernel vmlinuz initrd=initrd.img \${hosts} BOOTIF=00-\${netX/mac:hexhyp} interfaces=\${num}
initrd initrd.img
imgstat
sleep 1
boot || imgfree
`,
    boots: [
      "vmlinuz",
      "initrd=initrd.img url=foreman/unattended?mac=52:54:00:12:34:56 BOOTIF=00-52-54-00-12-34-56 interfaces=1",
      "<initrd.img>",
    ],
  },
  {
    name: "Tinkerbell",
    script: `#!ipxe
echo Loading the workflow
dhcp
set arch \${buildarch}
iseq \${arch} i386 && set arch x86_64 ||
set download-url tftp://10.0.2.2
set retries:int32 5
set idx:int32 0
:retry_kernel
kernel \${download-url}/vmlinuz ip=dhcp console=ttyS0 worker_id=\${mac} arch=\${arch} initrd=initrd.img && goto download_initrd || iseq \${idx} \${retries} && goto kernel-error || inc idx && goto retry_kernel
:download_initrd
set idx:int32 0
:retry_initrd
initrd \${download-url}/initrd.img && goto boot || iseq \${idx} \${retries} && goto kernel-error || inc idx && goto retry_initrd
:boot
set idx:int32 0
:retry_boot
boot || iseq \${idx} \${retries} && goto boot-error || inc idx && echo again && goto retry_boot
:kernel-error
:boot-error
exit
`,
    boots: [
      "vmlinuz",
      "ip=dhcp console=ttyS0 worker_id=52:54:00:12:34:56 arch=x86_64 initrd=initrd.img",
      "<initrd.img>",
    ],
  },
  {
    name: "MAAS",
    script: `#!ipxe
dhcp
set rc \${mac:hexhyp}
chain ipxe.cfg-\${rc} || chain --autofree ipxe.cfg-default
`,
    scripts: {
      "ipxe.cfg-default": `#!ipxe
echo Booting under MAAS direction...
kernel /vmlinuz nomodeset ro root=squash:http://10.0.2.2/squashfs ip=::::maas:BOOTIF ip6=off cloud-config-url=http://10.0.2.2/ BOOTIF=01-\${net0/mac:hexhyp} initrd=\\
initrd.img
initrd /initrd.img
boot
`,
    },
    boots: [
      "vmlinuz",
      "nomodeset ro root=squash:http://10.0.2.2/squashfs ip=::::maas:BOOTIF ip6=off cloud-config-url=http://10.0.2.2/ BOOTIF=01-52-54-00-12-34-56 initrd=initrd.img",
      "<initrd.img>",
    ],
  },
  {
    name: "netboot.xyz",
    script: `#!ipxe
:start
dhcp
isset \${arch} && goto skip_arch ||
cpuid --ext 29 && set arch x86_64 || set arch i386
:skip_arch
isset \${menu} && goto \${menu} ||
set space:hex 20:20
set space \${space:string}
isset \${timeout} || set menu_timeout 300
:main_menu
clear menu
menu netboot
item --gap Distributions:
iseq \${arch} x86_64 && set bits 64 || set bits 32
item local \${space} Boot from local hdd
item linux \${space} Linux Network Installs (\${bits}-bit)
choose --default linux --timeout \${menu_timeout} menu || goto local
echo -n \${cls}
goto \${menu} ||
iseq \${sigs_enabled} true && goto verify ||
goto change_menu
:change_menu
chain --autofree \${menu}.ipxe || goto start
:verify
exit
:local
exit
:linux
set os_name linux
clear menu
set menu sub
goto change_menu
`,
    scripts: {
      "sub.ipxe": `#!ipxe
set kernel_url tftp://10.0.2.2/
imgfree
kernel \${kernel_url}vmlinuz os=\${os_name} bits=\${bits} {initrd=initrd.magic}
initrd \${kernel_url}initrd.img
echo MD5sums:
boot
`,
    },
    boots: ["vmlinuz", "os=linux bits=64 {initrd=initrd.magic}", "<initrd.img>"],
  },
];
