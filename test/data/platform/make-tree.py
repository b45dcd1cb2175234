#!/usr/bin/env python3
"""Makes a .tree file from a directory that a guest's files were copied to: make-tree.py DIRECTORY OUTPUT"""
import gzip
import os
import struct
import sys

BINARY = ("sys/kernel/boot_params/data", "raw_data", "proc/kcore", "fb", "dev/mem")
LEFT_OUT = ("kallsyms", "dmesg", "fbs", "fb.err", "dev/mem.rsdp", "dev/mem.ebdaptr", "dev/mem.e0000.gz")


def rows(content):
    for at in range(0, len(content), 16):
        row = content[at : at + 16]
        if any(row):
            yield f"{at:08x} {row.hex(' ')}\n"


def kept(name, content):
    if name == "proc/kcore":  # the header and the program headers; what follows are notes of the guest's own processes
        return content[: 64 + 56 * struct.unpack_from("<H", content, 56)[0]]
    if name == "proc/cpuinfo":
        return content.split(b"\n\n")[0] + b"\n\n"
    return content


def low_memory(directory):
    """The first MiB with nothing but the pointer to the EBDA and the ACPI root pointer."""
    memory = bytearray(1 << 20)
    memory[0x40E:0x410] = open(f"{directory}/dev/mem.ebdaptr", "rb").read()
    area = gzip.open(f"{directory}/dev/mem.e0000.gz").read()
    at = area.find(b"RSD PTR ")
    if at < 0:
        return None
    memory[0xE0000 + at : 0xE0000 + at + 20] = area[at : at + 20]
    return bytes(memory)


def main(directory, output):
    files = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.relpath(f"{place}/{name}", directory)
            if path not in LEFT_OUT:
                files[path] = kept(path, open(f"{place}/{name}", "rb").read())
    memory = low_memory(directory)
    if memory is not None:
        files["dev/mem"] = memory
    with open(output, "w") as tree:
        for path in sorted(files):
            content = files[path]
            if path.endswith(BINARY):
                tree.write(f"@ binary {path} {len(content)}\n")
                tree.writelines(rows(content))
            elif content:
                tree.write(f"@ text {path}\n{content.decode()}")


main(*sys.argv[1:])
