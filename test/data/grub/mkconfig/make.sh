#!/bin/sh
# Writes debian-12.cfg and ubuntu.cfg with the real grub-mkconfig of Debian 12 (grub-common and grub2-common 2.06), as root:
#   unshare -m sh make.sh "$PWD"
# /boot, /dev and grub-probe are stand-ins inside the mount namespace; nothing outside of it changes.
set -e
out=$1
root=2f9c1f2e-57a3-4a3e-9d2b-6f3d5a0c7e11
mount -t tmpfs none /boot
mkdir -p /boot/grub
mount -t tmpfs none /mnt
mkdir -p /mnt/grub.d /mnt/default
cat > /mnt/probe <<'PROBE'
#!/bin/sh
target=
for word; do case $word in --target=*) target=${word#--target=} ;; -t) target=next ;; *) [ "$target" = next ] && target=$word ;; esac; done
case $target in
  device) echo /dev/vda2 ;;
  fs_uuid) echo 2f9c1f2e-57a3-4a3e-9d2b-6f3d5a0c7e11 ;;
  partuuid) echo 0b9d6c1a-02 ;;
  fs) echo ext2 ;;
  partmap) echo gpt ;;
  compatibility_hint) echo hd0,gpt2 ;;
  hints_string) echo "--hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2 --hint-baremetal=ahci0,gpt2" ;;
  abstraction|cryptodisk_uuid|zero_check) ;;
esac
PROBE
chmod +x /mnt/probe
mount --bind /mnt/probe /usr/sbin/grub-probe
mkdir -p /mnt/dev/disk/by-uuid
for node in null zero tty urandom; do cp -a /dev/$node /mnt/dev/; done
: > /mnt/dev/disk/by-uuid/$root
: > /mnt/dev/vda2
mount --bind /mnt/dev /dev
cp -a /etc/grub.d/. /mnt/grub.d/
mount --bind /mnt/grub.d /etc/grub.d

: > /boot/vmlinuz-6.1.0-21-amd64
: > /boot/initrd.img-6.1.0-21-amd64
: > /boot/vmlinuz-6.1.0-18-amd64
: > /boot/initrd.img-6.1.0-18-amd64
export LANG=en_US.UTF-8 GRUB_DISTRIBUTOR=Debian GRUB_DEFAULT=0 GRUB_TIMEOUT=5 GRUB_CMDLINE_LINUX_DEFAULT=quiet GRUB_CMDLINE_LINUX=
grub-mkconfig -o /mnt/debian-12.cfg
cp /mnt/debian-12.cfg "$out/debian-12.cfg"

rm /boot/vmlinuz-* /boot/initrd*
: > /boot/vmlinuz-6.8.0-31-generic
: > /boot/initrd.img-6.8.0-31-generic
: > /boot/vmlinuz-6.8.0-28-generic
: > /boot/initrd.img-6.8.0-28-generic
# Ubuntu builds the same scripts with these switched on.
sed -i 's/^quick_boot="0"/quick_boot="1"/' /etc/grub.d/00_header /etc/grub.d/10_linux
sed -i 's/^ubuntu_recovery="0"/ubuntu_recovery="1"/; s/^quiet_boot="0"/quiet_boot="1"/; s/^gfxpayload_dynamic="0"/gfxpayload_dynamic="1"/; s/^vt_handoff="0"/vt_handoff="1"/' /etc/grub.d/10_linux
export GRUB_DISTRIBUTOR=Ubuntu GRUB_DEFAULT=saved GRUB_SAVEDEFAULT=true GRUB_TIMEOUT=0 GRUB_TIMEOUT_STYLE=hidden GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
# What 30_uefi-firmware of GRUB 2.12 writes; that of 2.06 looks at the machine that it runs on.
cat > /etc/grub.d/30_uefi-firmware <<'UEFI'
#!/bin/sh
cat <<'EOT'
if [ "$grub_platform" = "efi" ]; then
	fwsetup --is-supported
	if [ "$?" = 0 ]; then
		menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
			fwsetup
		}
	fi
fi
EOT
UEFI
grub-mkconfig -o /mnt/ubuntu.cfg
cp /mnt/ubuntu.cfg "$out/ubuntu.cfg"
