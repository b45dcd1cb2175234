# make-image.py OUT NAME=TEXT...: a small EFI application (PE32+, x86-64) with these sections.
# Texts: \n is a line end. A name that begins with "-" makes a gap of 512 bytes before the section, one that begins with
# "+" has the bytes of the section before it, too.
import struct
import sys

alignment, header_bytes = 512, 1024
out, sections, body, address = sys.argv[1], b"", b"", 0x1000
count = 0
for part in sys.argv[2:]:
    name, text = part.split("=", 1)
    data = text.replace("\\n", "\n").encode()
    raw = data + bytes(-len(data) % alignment)
    if name[0] == "-":
        body += bytes(512)
    start = header_bytes + len(body)
    if name[0] == "+":
        start -= 512
        raw_bytes = len(raw) + 512
    else:
        raw_bytes = len(raw)
    name = name.lstrip("-+")
    sections += struct.pack("<8s6I2HI", name.encode(), len(data), address, raw_bytes, start, 0, 0, 0, 0, 0x40000040)
    body += raw
    address += 0x1000
    count += 1
optional = struct.pack("<HBB5I", 0x20B, 1, 0, alignment, 0, 0, 0x1000, 0x1000)
optional += struct.pack("<Q2I6H4I2H", 0x140000000, 0x1000, alignment, 0, 0, 0, 0, 1, 1, 0, address, header_bytes, 0, 10, 0x160)
optional += struct.pack("<4Q2I", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(16 * 8)
coff = b"PE\0\0" + struct.pack("<2H3I2H", 0x8664, count, 0, 0, 0, len(optional), 0x22E)
header = b"MZ" + bytes(58) + struct.pack("<I", 64) + coff + optional + sections
open(out, "wb").write(header + bytes(header_bytes - len(header)) + body)
