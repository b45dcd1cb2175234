#!/bin/sh
# Writes the grub.cfg of the cases mkconfig-* with the real grub-mkconfig of Debian 12 (grub-common, grub2-common 2.06), as root:
#   unshare -m sh make.sh "$PWD"
# /boot, /dev, grub-probe, grub-mkrelpath and os-prober are stand-ins inside the mount namespace; nothing outside changes.
set -e
out=$1
root=3d8004ea-7ad7-4c2f-9b65-2d3b2c607f03
boot=4e9115fb-8be8-4d30-8c76-3e4c3d718004
mount -t tmpfs none /mnt
mkdir -p /mnt/grub.d /mnt/bin /mnt/dev/disk/by-uuid /mnt/dev/mapper /mnt/boot/grub
mount --bind /mnt/boot /boot
# What is asked about / has the variables ROOT_…, what is asked about /boot has BOOT_….
cat > /mnt/probe <<'PROBE'
#!/bin/sh
target= path= device=
for word; do
  case $word in
    --target=*) target=${word#--target=} ;;
    -t) target=next ;;
    --device|-d) device=1 ;;
    -*) ;;
    *) if [ "$target" = next ]; then target=$word; else path=$word; fi ;;
  esac
done
case $path in
  $ESP_DEVICE) part=$ESP_DEVICE uuid=A1B2-C3D4 fs=fat hint=hd0,gpt1 abstraction= ;;
  /dev/vdb*) part=/dev/vdb1 uuid=5fa2260c-9cf9-4e41-9d87-4f5d4e829105 fs=ext2 hint=hd1,gpt1 abstraction= ;;
  / | "$ROOT_DEVICE") part=$ROOT_DEVICE uuid=3d8004ea-7ad7-4c2f-9b65-2d3b2c607f03 fs=$ROOT_FS hint=$ROOT_HINT abstraction=$ROOT_ABSTRACTION ;;
  *) part=$BOOT_DEVICE uuid=$BOOT_UUID fs=$BOOT_FS hint=$BOOT_HINT abstraction=$BOOT_ABSTRACTION ;;
esac
case $target in
  device) echo "$part" ;;
  fs_uuid) echo "$uuid" ;;
  partuuid) echo 0b9d6c1a-02 ;;
  fs) echo "$fs" ;;
  partmap) echo "$TABLE" ;;
  compatibility_hint) echo "$hint" ;;
  hints_string) case $hint in lvmid*) echo "--hint='$hint'" ;; *) echo "--hint-bios=$hint --hint-efi=$hint --hint-baremetal=ahci${hint#hd}" ;; esac ;;
  abstraction) echo "$abstraction" ;;
  cryptodisk_uuid|zero_check|disk) ;;
esac
PROBE
cat > /mnt/relpath <<'RELPATH'
#!/bin/sh
for path; do :; done
case $path in
  /boot|/boot/*) [ -z "$SEPARATE_BOOT" ] || path=${path#/boot} ;;
esac
[ "$path" = / ] && [ -n "$SUBVOLUME" ] && path=
echo "$SUBVOLUME$path"
RELPATH
cat > /mnt/bin/os-prober <<'PROBER'
#!/bin/sh
[ -n "$OTHERS" ] || exit 0
echo "/dev/vda1@/efi/Microsoft/Boot/bootmgfw.efi:Windows Boot Manager:Windows:efi"
echo "/dev/vdb1:Fedora Linux 39 (Workstation Edition):Fedora:linux"
PROBER
cat > /mnt/bin/linux-boot-prober <<'PROBER'
#!/bin/sh
echo "/dev/vdb1:/dev/vdb1:Fedora Linux (6.5.6) 39:/boot/vmlinuz-6.5.6:/boot/initramfs-6.5.6.img:root=UUID=5fa2260c ro rhgb quiet"
echo "/dev/vdb1:/dev/vdb1:Fedora Linux (rescue) 39:/boot/vmlinuz-rescue:/boot/initramfs-rescue.img:root=UUID=5fa2260c ro"
PROBER
chmod +x /mnt/probe /mnt/relpath /mnt/bin/*
export PATH=/mnt/bin:$PATH
mount --bind /mnt/probe /usr/sbin/grub-probe
mount --bind /mnt/relpath /usr/bin/grub-mkrelpath
for node in null zero tty urandom; do cp -a /dev/$node /mnt/dev/; done
for uuid in $root $boot; do : > /mnt/dev/disk/by-uuid/$uuid; done
for device in vda vda1 vda2 vda3 vdb vdb1 mapper/vg0-root; do : > /mnt/dev/$device; done
mount --bind /mnt/dev /dev
cp -a /etc/grub.d /mnt/plain.d
mount --bind /mnt/grub.d /etc/grub.d
cp -a /etc/default /mnt/default
mount --bind /mnt/default /etc/default

begin() {
  rm -rf /mnt/grub.d/* /boot/* /etc/default/grub
  mkdir /boot/grub
  cp -a /mnt/plain.d/. /mnt/grub.d/
  for version; do : > /boot/vmlinuz-$version; : > /boot/initrd.img-$version; done
  export LANG=en_US.UTF-8 TABLE=gpt SEPARATE_BOOT= SUBVOLUME= OTHERS= ESP_DEVICE=none
  export ROOT_DEVICE=/dev/vda2 ROOT_FS=ext2 ROOT_HINT=hd0,gpt2 ROOT_ABSTRACTION=
  export BOOT_DEVICE=/dev/vda2 BOOT_FS=ext2 BOOT_HINT=hd0,gpt2 BOOT_ABSTRACTION= BOOT_UUID=$root
  for name in $(env | sed -n 's/^\(GRUB_[A-Z0-9_]*\)=.*/\1/p'); do unset $name; done
  export GRUB_DISTRIBUTOR=Debian GRUB_DEFAULT=0 GRUB_TIMEOUT=5 GRUB_CMDLINE_LINUX_DEFAULT=quiet GRUB_CMDLINE_LINUX=
}

# config CASE VOLUME PATH
config() {
  mkdir -p "$out/$1/$2$(dirname "$3")"
  grub-mkconfig -o /mnt/made.cfg
  cp /mnt/made.cfg "$out/$1/$2$3"
}

begin 6.1.0-21-amd64 6.1.0-18-amd64 6.1.0-9-amd64
export GRUB_CMDLINE_LINUX="console=ttyS0,115200n8 apparmor=0"
config mkconfig-plain vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64
export GRUB_DEFAULT=saved GRUB_SAVEDEFAULT=true GRUB_TIMEOUT=0 GRUB_TIMEOUT_STYLE=hidden
config mkconfig-saved vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64
export GRUB_DEFAULT="Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-18-amd64"
config mkconfig-title-path vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64 5.10.0-28-amd64
export GRUB_DEFAULT="1>4" GRUB_TIMEOUT=1
config mkconfig-number-path vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64
export TABLE=msdos SEPARATE_BOOT=1 BOOT_DEVICE=/dev/vda1 BOOT_HINT=hd0,msdos1 BOOT_UUID=$boot ROOT_HINT=hd0,msdos2
export GRUB_EARLY_INITRD_LINUX_CUSTOM=microcode.cpio GRUB_DISABLE_RECOVERY=true
: > /boot/microcode.cpio
config mkconfig-separate-boot vda1 /grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64
export ROOT_FS=btrfs BOOT_FS=btrfs SUBVOLUME=/@
config mkconfig-btrfs vda2 /@/boot/grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64
export SEPARATE_BOOT=1 BOOT_DEVICE=/dev/vda2 BOOT_UUID=$boot
export ROOT_DEVICE=/dev/mapper/vg0-root ROOT_HINT=lvmid/vg/lv ROOT_ABSTRACTION=lvm
config mkconfig-lvm-root vda2 /grub/grub.cfg

begin 6.1.0-21-amd64 6.1.0-18-amd64 5.10.0-28-amd64
export GRUB_DISABLE_SUBMENU=y GRUB_DEFAULT=2 GRUB_CMDLINE_LINUX='cryptdevice="a b":c $weird dollar'
config mkconfig-no-submenu vda2 /boot/grub/grub.cfg

begin 6.8.0-31-generic 6.8.0-28-generic
# Ubuntu builds the same scripts with these switched on.
sed -i 's/^quick_boot="0"/quick_boot="1"/' /etc/grub.d/00_header /etc/grub.d/10_linux /etc/grub.d/30_os-prober
sed -i 's/^ubuntu_recovery="0"/ubuntu_recovery="1"/; s/^quiet_boot="0"/quiet_boot="1"/; s/^gfxpayload_dynamic="0"/gfxpayload_dynamic="1"/; s/^vt_handoff="0"/vt_handoff="1"/' /etc/grub.d/10_linux
export GRUB_DISTRIBUTOR=Ubuntu GRUB_TIMEOUT_STYLE=hidden GRUB_TIMEOUT=0 GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
config mkconfig-ubuntu vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64
# The only setting that grub-mkconfig does not take from its environment.
echo GRUB_DISABLE_OS_PROBER=false > /etc/default/grub
export OTHERS=1 ESP_DEVICE=/dev/vda1 GRUB_DEFAULT="osprober-gnulinux-advanced-5fa2260c-9cf9-4e41-9d87-4f5d4e829105>osprober-gnulinux-/boot/vmlinuz-6.5.6--5fa2260c-9cf9-4e41-9d87-4f5d4e829105"
config mkconfig-os-prober vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64
cat >> /etc/grub.d/40_custom <<'CUSTOM'
menuentry "My kernel" --class custom --id mine {
	insmod part_gpt
	search --no-floppy --label --set=root ROOT
	echo "Loading mine"
	linux	/boot/vmlinuz-mine root=LABEL=ROOT $extra
	initrd	/boot/initrd-mine
}
CUSTOM
export GRUB_DEFAULT=mine
config mkconfig-custom vda2 /boot/grub/grub.cfg

begin 6.1.0-21-amd64
printf '\326\120\122\350\000\000\000\000\030\000\000\000\022\257\255\027\000\000\000\000\010\000\000\000' > /boot/xen-4.17-amd64.gz
echo CONFIG_XEN_DOM0=y > /boot/config-6.1.0-21-amd64
export GRUB_CMDLINE_XEN="dom0_mem=1G,max:1G" GRUB_DEFAULT='Debian GNU/Linux, with Xen hypervisor'
config mkconfig-xen vda2 /boot/grub/grub.cfg
