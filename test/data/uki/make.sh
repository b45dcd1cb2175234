#!/bin/sh
# Makes the unified kernel images and add-ons of this directory with objcopy and dtc, and prints what objdump and fdtget say
# of them. The argument is systemd's EFI stub (linuxx64.efi.stub of Debian's package systemd-boot-efi 252).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stub=$1
work=$(mktemp -d)
cd "$work"

# An image for two boards and a laptop: device trees by name, hardware ids, what is handed to the system.
printf 'ID=acme\nNAME="Acme Linux"\nVERSION_ID=7\nIMAGE_ID=acme-board\nIMAGE_VERSION=7.2\n' > osrel
printf 'root=LABEL=board ro' > cmdline
printf '6.1.0-board' > uname
printf 'a kernel would be here' > linux
printf 'an initrd would be here' > initrd
printf 'microcode' > ucode
printf '{"sha256":[]}' > pcrsig
printf 'a public key would be here\n' > pcrpkey
for board in one two any; do
  printf '/dts-v1/;\n/ {\n model = "Board %s";\n compatible = "acme,board-%s", "acme,soc";\n cpus { compatible = "not,this"; };\n};\n' \
    $board $board > $board.dts
  dtc -q -I dts -O dtb -o $board.dtb $board.dts
done
cat > hwids.py <<'S'
import struct, uuid
def device(kind, guid, name, key):
    return struct.pack("<I", kind << 28 | 28) + uuid.UUID(guid).bytes_le + struct.pack("<II", name, key)
names = b"ThinkPad T440s\0acme,board-two\0Another\0acme,board-one\0capsule\0fw-id\0"
start = 28 * 4
at = lambda text: start + names.index(text + b"\0")
table = device(1, "00000000-0000-5000-8000-000000000001", at(b"Another"), at(b"acme,board-one"))
table += device(2, "3faec92a-3ae3-5744-be88-495e90a7d541", at(b"capsule"), at(b"fw-id"))
table += device(1, "660ccba8-1b78-5a33-80e6-9fb8354ee873", at(b"ThinkPad T440s"), at(b"acme,board-two"))
open("hwids", "wb").write(table + bytes(28) + names)
S
python3 hwids.py
objcopy \
  --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .uname=uname --change-section-vma .uname=0x38000 \
  --add-section .ucode=ucode --change-section-vma .ucode=0x39000 \
  --add-section .dtb=any.dtb --change-section-vma .dtb=0x3a000 \
  --add-section .d1=one.dtb --change-section-vma .d1=0x3b000 \
  --add-section .d2=two.dtb --change-section-vma .d2=0x3c000 \
  --add-section .hwids=hwids --change-section-vma .hwids=0x3d000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x40000 \
  --add-section .pcrsig=pcrsig --change-section-vma .pcrsig=0x50000 \
  --add-section .pcrpkey=pcrpkey --change-section-vma .pcrpkey=0x60000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  "$stub" board.full

# An image for the menu: system and command line.
printf 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\n' > osrel
objcopy \
  --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  "$stub" debian.full
printf 'ID=fedora\nPRETTY_NAME="Fedora Linux 41"\nVERSION_ID=41\n' > osrel
objcopy \
  --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  "$stub" fedora.full

# Add-ons: options for one kernel version, microcode and an initrd.
printf ' debug\n' > cmdline
objcopy \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .uname=uname --change-section-vma .uname=0x38000 \
  "$stub" addon-options.full
printf 'more microcode' > ucode
printf 'more of the initrd' > initrd
objcopy \
  --add-section .ucode=ucode --change-section-vma .ucode=0x39000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x40000 \
  "$stub" addon-initrd.full

# The stub's own code is zeroed, what lies behind the sections is cut off, and names that objcopy adds once only are put right.
cat > trim.py <<'S'
import struct, sys
own = (".text", ".reloc", ".data", ".dynamic", ".rela", ".dynsym", ".sbat", ".sdmagic")
for name in sys.argv[1:]:
    image = bytearray(open(name + ".full", "rb").read())
    pe, = struct.unpack_from("<I", image, 60)
    count, optional = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
    end = 0
    for index in range(count):
        at = pe + 24 + optional + index * 40
        section = image[at:at + 8].rstrip(b"\0").decode()
        size, offset = struct.unpack_from("<II", image, at + 16)
        if section in own:
            image[offset:offset + size] = bytes(size)
        if section in (".d1", ".d2"):
            image[at:at + 8] = b".dtbauto"
        end = max(end, offset + size)
    open(name, "wb").write(image[:end])
S
files='board debian fedora addon-options addon-initrd'
python3 trim.py $files

LC_ALL=C
export LC_ALL
for file in $files; do
  echo "== $file"
  objdump -hw "$file" | awk '$2 ~ /^\./ && $2 !~ /^\.(text|reloc|data|dynamic|rela|dynsym|sbat|sdmagic)$/ {print $2, $3, "at", $6}'
  gzip -9nc "$file" > "$here/$file.gz"
done
for board in one two any; do fdtget $board.dtb / compatible; done
rm -r "$work"
