#!/bin/sh
# Makes arch-uki.gz with objcopy: a unified kernel image as mkinitcpio makes it. The argument is systemd's EFI stub
# (linuxx64.efi.stub of Debian's package systemd-boot-efi 252), whose own code is zeroed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stub=$1
work=$(mktemp -d)
cd "$work"
printf 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n' > osrel
printf 'root=PARTUUID=8d1f6a2b-3c4d-4e5f-9a6b-7c8d9e0f1a2b rw quiet\n\0' > cmdline
printf '6.9.3-arch1-1' > uname
printf 'a kernel would be here' > linux
printf 'an initrd would be here' > initrd
objcopy \
  --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .uname=uname --change-section-vma .uname=0x38000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x40000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  "$stub" full
cat > trim.py <<'S'
import struct
data = bytearray(open("full", "rb").read())
pe = struct.unpack_from("<I", data, 0x3c)[0]
count, = struct.unpack_from("<H", data, pe + 6)
table = pe + 24 + struct.unpack_from("<H", data, pe + 20)[0]
end = 0
for i in range(count):
    at = table + i * 40
    name = data[at:at + 8].rstrip(b"\0").decode("latin1")
    size, place = struct.unpack_from("<II", data, at + 16)
    if name not in (".osrel", ".cmdline", ".uname", ".initrd", ".linux", ".sbat"):
        data[place:place + size] = bytes(size)
    end = max(end, place + size)
open("trimmed", "wb").write(data[:end])
S
python3 trim.py
gzip -9nc trimmed > "$here/arch-uki.gz"
objdump -h trimmed
rm -r "$work"
