#!/bin/sh
# Makes this directory's OS packages: `acme-1.2.zip` and all descriptors as stmgr does (make.go, with Go 1.19), archives of
# the same files with Info-ZIP 3.0 and with Python 3.11's zipfile, and archives that have to be refused. Then it prints what
# unzip and openssl say of them. The keys are throwaways for tests.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
# What stands for a kernel: the header of a bzImage (Documentation/arch/x86/boot.rst), and a little behind the setup code.
python3 - "$work/kernel" <<'S'
import struct, sys
image = bytearray(5 * 512 + 16)
for at, form, value in [
    (0x1f1, "B", 4), (0x1fe, "H", 0xaa55), (0x200, "H", 0x6aeb), (0x202, "4s", b"HdrS"), (0x206, "H", 0x20f),
    (0x211, "B", 1), (0x230, "I", 0x200000), (0x234, "B", 1), (0x236, "H", 3), (0x238, "I", 2047),
]:
    struct.pack_into("<" + form, image, at, value)
open(sys.argv[1], "wb").write(image)
S
GO111MODULE=off go run make.go "$work/kernel" "$work/files"
here=$PWD
cd "$work/files"
find . -exec touch -d 2026-01-02T03:04:06Z {} +
rm -f "$here"/infozip*.zip "$here"/python*.zip

# With directories, times and owners in extra fields, and a comment.
printf 'made by Info-ZIP' | TZ=UTC zip -q -r -z "$here/infozip.zip" boot manifest.json > "$work/log"
# Not packed, to a pipe: sizes stand behind the data.
TZ=UTC zip -q -0 -r - boot manifest.json | cat > "$here/infozip-stream.zip"
TZ=UTC zip -q -r -P secret "$here/infozip-encrypted.zip" manifest.json
TZ=UTC zip -q -r -Z bzip2 "$here/infozip-bzip2.zip" boot/initrd.img
ln -s vmlinuz boot/link && TZ=UTC zip -q -y "$here/infozip-link.zip" boot/link && rm boot/link
(printf 'a program that unpacks itself'; cat "$here/infozip.zip") > "$here/infozip-prefixed.zip"
zip -q -r -fz "$here/infozip-zip64.zip" manifest.json

python3 - "$here" <<'S'
import sys, zipfile
here = sys.argv[1]
def info(name):
    return zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
with zipfile.ZipFile(here + "/python.zip", "w") as z:
    z.writestr(info("manifest.json"), open("manifest.json").read(), zipfile.ZIP_DEFLATED)
    z.writestr(info("boot/vmlinuz"), open("boot/vmlinuz", "rb").read(), zipfile.ZIP_DEFLATED)
    z.writestr(info("boot/initrd.img"), open("boot/initrd.img", "rb").read(), zipfile.ZIP_STORED)
    z.writestr(info("boot/größe.txt"), b"named in UTF-8")
import warnings
warnings.simplefilter("ignore")
with zipfile.ZipFile(here + "/python-twice.zip", "w") as z:
    z.writestr(info("manifest.json"), "{}")
    z.writestr(info("manifest.json"), "{ }")
with zipfile.ZipFile(here + "/python-upwards.zip", "w") as z:
    z.writestr(info("../etc/passwd"), "")
with zipfile.ZipFile(here + "/python-absolute.zip", "w") as z:
    z.writestr(info("/etc/passwd"), "")
with zipfile.ZipFile(here + "/python-lzma.zip", "w") as z:
    z.writestr(info("manifest.json"), "{}" * 99, zipfile.ZIP_LZMA)
with zipfile.ZipFile(here + "/python-empty.zip", "w") as z:
    pass
S

cd "$here"
for archive in acme-1.2 infozip infozip-stream python; do unzip -tqq $archive.zip && echo "$archive.zip: unzip agrees"; done
for who in root foreign ec-root; do openssl verify -CAfile $who.pem $who.pem; done
# The signature of alice, by OpenSSL.
python3 - "$work" <<'S'
import base64, json, sys, hashlib
descriptor = json.load(open("acme-1.2.json"))
open(sys.argv[1] + "/leaf.pem", "wb").write(base64.b64decode(descriptor["certificates"][0]))
open(sys.argv[1] + "/signature", "wb").write(base64.b64decode(descriptor["signatures"][0]))
open(sys.argv[1] + "/digest", "wb").write(hashlib.sha256(open("acme-1.2.zip", "rb").read()).digest())
S
openssl verify -CAfile root.pem "$work/leaf.pem"
openssl x509 -in "$work/leaf.pem" -pubkey -noout > "$work/leaf.pub"
openssl pkeyutl -verify -pubin -inkey "$work/leaf.pub" -rawin -in "$work/digest" -sigfile "$work/signature"
cat judged.txt
rm -r "$work"
