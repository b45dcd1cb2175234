#!/bin/sh
# Makes the kernels and images of this directory with GNU as, ld and objcopy, and prints what the reference programs say of
# them. The first argument is systemd's EFI stub (linuxx64.efi.stub of Debian's package systemd-boot-efi 252), the second a
# kernel of Debian with a signature.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stub=$1
kernel=$2
work=$(mktemp -d)
cd "$work"

# Like vmlinux: high virtual addresses, low physical ones, a segment at virtual address 0, a physical entry point.
cat > vmlinux.s <<'S'
.globl phys_start
.section .text, "ax"
start: hlt
.org 0x40
.section .data, "aw"
.quad 0x1122334455667788
.section .percpu, "aw"
.quad 1
.section .bss, "aw", @nobits
.zero 0x3000
S
cat > vmlinux.ld <<'S'
OUTPUT_FORMAT(elf64-x86-64)
ENTRY(phys_start)
phys_start = 0x1000000;
PHDRS { text PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); percpu PT_LOAD FLAGS(6); note PT_NOTE FLAGS(4); }
SECTIONS {
  .text 0xffffffff81000000 : AT(0x1000000) { *(.text) } :text
  .data 0xffffffff81200000 : AT(0x1200000) { *(.data) } :data
  .bss ALIGN(0x1000) : AT(0x1201000) { *(.bss) } :data
  .percpu 0 : AT(0x1400000) { *(.percpu) } :percpu
  /DISCARD/ : { *(.note*) *(.comment) }
}
S
as --64 -o vmlinux.o vmlinux.s
ld -z max-page-size=0x1000 -T vmlinux.ld -o vmlinux vmlinux.o
ld -z max-page-size=0x1000 -T vmlinux.ld -e 0xffffffff81000020 -o vmlinux-virtual-entry vmlinux.o

# Multiboot 1 in an ELF file of 32 bits: flags page-aligned modules, memory, video.
cat > multiboot.s <<'S'
.section .text, "ax"
.globl start
start: hlt
.balign 4
.long 0x1badb002, 7, -(0x1badb002 + 7)
.long 0, 0, 0, 0, 0
.long 0, 1024, 768, 32
.bss
.zero 0x1234
S
as --32 -o multiboot.o multiboot.s
ld -m elf_i386 -Ttext 0x100000 -e start -o multiboot-elf32 multiboot.o

# Multiboot 1 with address fields, in a flat file; the header is not at its start.
cat > multiboot-flat.s <<'S'
.section .text, "ax"
.globl start
base: .ascii "not loaded.."
load: .zero 20
header: .long 0x1badb002, 0x10001, -(0x1badb002 + 0x10001)
.long header, load, end, end + 0x500, start
start: hlt
.balign 16
end: .ascii "not loaded either"
S
as --32 -o multiboot-flat.o multiboot-flat.s
ld -m elf_i386 -Ttext 0x200000 -e start -o multiboot-flat.elf multiboot-flat.o
objcopy -O binary -j .text multiboot-flat.elf multiboot-flat

# Multiboot2 with every tag, in ELF files of 32 and 64 bits, and with address fields in a flat file.
cat > multiboot2.s <<'S'
.section .text, "ax"
.globl start
start: hlt
.balign 8
header: .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
.word 1, 0
.long 20, 4, 6, 8          # information request: memory, memory map, frame buffer; padded to 24
.balign 8
.word 1, 1
.long 12, 15               # the same, optional: ACPI 2.0
.balign 8
.word 3, 0
.long 12, start + 1        # entry address
.balign 8
.word 4, 1
.long 12, 3                # console flags
.balign 8
.word 5, 1
.long 20, 1024, 768, 32    # frame buffer
.balign 8
.word 6, 0
.long 8                    # module alignment
.word 7, 1
.long 8                    # EFI boot services
.word 8, 1
.long 12, 0x300008         # entry for EFI of 32 bits
.balign 8
.word 9, 1
.long 12, 0x300009         # entry for EFI of 64 bits
.balign 8
.word 10, 0
.long 24, 0x200000, 0x3fffffff, 0x200000, 2
.word 0, 0
.long 8
header_end:
S
as --32 -o multiboot2.o multiboot2.s
ld -m elf_i386 -Ttext 0x300000 -e start -o multiboot2-elf32 multiboot2.o
as --64 -o multiboot2-64.o multiboot2.s
ld -z max-page-size=0x1000 -Ttext 0x300000 -e start -o multiboot2-elf64 multiboot2-64.o
cat > multiboot2-flat.s <<'S'
.section .text, "ax"
.globl start
start: hlt
.balign 8
header: .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
.word 2, 0
.long 24, header, -1, 0, end + 0x40
.word 3, 0
.long 12, start
.balign 8
.word 0, 0
.long 8
header_end:
end:
S
as --32 -o multiboot2-flat.o multiboot2-flat.s
ld -m elf_i386 -Ttext 0x400000 -e start -o multiboot2-flat.elf multiboot2-flat.o
objcopy -O binary -j .text multiboot2-flat.elf multiboot2-flat

# PE32 from an object of 32 bits.
cat > pe32.s <<'S'
.section .text, "ax"
.globl start
start: hlt
.section .data, "aw"
.long 42
S
as --32 -o pe32.o pe32.s
ld -m elf_i386 -shared -Bsymbolic -Ttext 0x1000 -e start -o pe32.elf pe32.o
objcopy --target efi-app-ia32 -j .text -j .data pe32.elf pe32

# A unified kernel image as systemd-stub(7) of that version says to make it. The stub's own sections are zeroed.
printf 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' > osrel
printf ' root=LABEL=system ro\tquiet\n\0ignored' > cmdline
printf '6.1.0-56-amd64\n' > uname
printf 'a kernel would be here' > linux
printf 'an initrd would be here' > initrd
printf 'microcode' > ucode
objcopy \
  --add-section .osrel=osrel --change-section-vma .osrel=0x20000 \
  --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
  --add-section .uname=uname --change-section-vma .uname=0x38000 \
  --add-section .ucode=ucode --change-section-vma .ucode=0x39000 \
  --add-section .initrd=initrd --change-section-vma .initrd=0x40000 \
  --add-section .linux=linux --change-section-vma .linux=0x2000000 \
  "$stub" uki.full
# The same with profiles: objcopy adds no section twice, so their names are put right in the table.
printf 'ID=regular\nTITLE="Regular boot"\n' > p0
printf 'ID=factory-reset\nTITLE="Reset Device to Factory Defaults"\n' > p1
printf 'quiet systemd.unit=factory-reset.target' > c1
printf 'ID=storagetm\n' > p2
printf 'quiet rd.systemd.unit=storage-target-mode.target' > c2
printf 'another initrd' > i2
objcopy \
  --add-section .p0=p0 --change-section-vma .p0=0x2010000 \
  --add-section .p1=p1 --change-section-vma .p1=0x2020000 \
  --add-section .c1=c1 --change-section-vma .c1=0x2030000 \
  --add-section .p2=p2 --change-section-vma .p2=0x2040000 \
  --add-section .c2=c2 --change-section-vma .c2=0x2050000 \
  --add-section .i2=i2 --change-section-vma .i2=0x2060000 \
  uki.full uki-profiles.full

cat > trim.py <<'S'
import struct, sys
def sections(image):
    pe, = struct.unpack_from("<I", image, 60)
    count, optional = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
    for index in range(count):
        at = pe + 24 + optional + index * 40
        yield at, image[at:at + 8].rstrip(b"\0").decode(), *struct.unpack_from("<IIII", image, at + 8)
def trim(source, target, renamed={}):
    image = bytearray(open(source, "rb").read())
    end = 0
    for at, name, _, _, size, offset in sections(image):
        if name in (".text", ".reloc", ".data", ".dynamic", ".rela", ".dynsym", ".sbat", ".sdmagic", ".rodata", "/14", ".areloc"):
            image[offset:offset + size] = bytes(size)
        if name in renamed:
            image[at:at + 8] = renamed[name].encode().ljust(8, b"\0")
        end = max(end, offset + size)
    open(target, "wb").write(image[:end])
trim("uki.full", "uki")
profiles = {".p0": ".profile", ".p1": ".profile", ".p2": ".profile", ".c1": ".cmdline", ".c2": ".cmdline", ".i2": ".initrd"}
trim("uki-profiles.full", "uki-profiles", profiles)
# The headers of a signed bzImage: signatures, COFF, optional header, section table and setup header; the code is zeroed.
image = open(sys.argv[1], "rb").read()
pe, = struct.unpack_from("<I", image, 60)
count, optional = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
head = bytearray(1024)
head[0:2] = image[0:2]
head[60:64] = image[60:64]
end = pe + 24 + optional + count * 40
head[pe:end] = image[pe:end]
head[0x1f1:0x281] = image[0x1f1:0x281]
open("bzimage-pe-head", "wb").write(head)
print("bzimage-pe-head: of a file of", len(image), "bytes")
S
python3 trim.py "$kernel"

LC_ALL=C
export LC_ALL
for file in vmlinux vmlinux-virtual-entry multiboot-elf32 multiboot2-elf32 multiboot2-elf64; do
  echo "== $file"
  readelf -hlW "$file" | grep -E 'Class|Data|Type:  |Machine|Entry|LOAD|NOTE' | sed 's/  */ /g'
done
for file in multiboot-flat multiboot2-flat; do
  echo "== $file"
  nm "$file.elf" | grep -E ' (base|load|header|start|end)$'
done
for file in multiboot-elf32 multiboot-flat multiboot2-elf32 multiboot2-elf64 multiboot2-flat vmlinux; do
  for kind in multiboot multiboot2; do
    if grub-file --is-x86-$kind "$file"; then echo "grub-file: $file is $kind"; fi
  done
done
for file in uki uki-profiles pe32 "$kernel"; do
  echo "== $file"
  objdump -hpw "$file" | grep -vE '^(.* file format|The Data|There is|Entry [0-9a-f]+ 0+ 0+ |\(.*\)|PE File Base|Virtual Address|	reloc)' | sed 's/[[:space:]]*$//' | grep .
done
for file in vmlinux vmlinux-virtual-entry multiboot-elf32 multiboot-flat multiboot2-elf32 multiboot2-elf64 multiboot2-flat \
  pe32 uki uki-profiles bzimage-pe-head; do
  gzip -9nc "$file" > "$here/$file.gz"
done
rm -r "$work"
