#!/bin/sh
# Makes the keys, certificates, images and signatures of this directory, and prints what sbverify and osslsigncode say of
# them: that is judged.txt. sbverify believes every certificate that is enclosed. The argument is systemd's EFI stub (linuxx64.efi.stub of Debian's package systemd-boot-efi 252). The keys are test keys;
# those that are there are kept. Tools: openssl 3.0, sbsign 0.9.4, osslsigncode 2.9, efitools 1.9.2, objcopy 2.40.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stub=$1
cd "$here"
work=$(mktemp -d)
LC_ALL=C
export LC_ALL

# key NAME: a key; certificate NAME ISSUER SUBJECT EXTENSIONS: signed by ISSUER, or by itself.
key() {
  [ -f "$1.key" ] || openssl genpkey -quiet -algorithm "${2:-RSA}" ${3:+-pkeyopt "$3"} -out "$1.key" 2>/dev/null
}
certificate() {
  [ -f "$1.crt" ] && return
  printf '%s\n' "$4" > "$work/extensions"
  openssl req -new -key "$1.key" -subj "$3" -out "$work/request" 2>/dev/null
  if [ "$1" = "$2" ]; then by="-signkey $1.key"; else by="-CA $2.crt -CAkey $2.key"; fi
  openssl x509 -req -in "$work/request" $by -set_serial "$5" -days 36500 -sha256 -extfile "$work/extensions" \
    -out "$1.crt" 2>/dev/null
}
ca='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign'
sign='basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning'
server='basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth'
for name in root middle leaf stranger expired server; do key $name RSA rsa_keygen_bits:2048; done
key curve EC ec_paramgen_curve:P-256
certificate root root '/O=Slipway tests/CN=root' "$ca" 1
certificate middle root '/O=Slipway tests/CN=middle' "$ca" 2
certificate leaf middle '/O=Slipway tests/CN=leaf' "$sign" 3
certificate server middle '/O=Slipway tests/CN=server' "$server" 7
certificate curve middle '/O=Slipway tests/CN=curve' "$sign" 4
certificate stranger stranger '/CN=stranger' "$sign" 5
if [ ! -f expired.crt ]; then
  openssl req -new -key expired.key -subj '/CN=expired' -out "$work/request" 2>/dev/null
  printf '%s\n' "$sign" > "$work/extensions"
  : > "$work/index"
  printf '[ca]\ndefault_ca=here\n[here]\ndatabase=%s/index\nnew_certs_dir=%s\nserial=%s/serial\npolicy=any\n[any]\ncommonName=supplied\n' \
    "$work" "$work" "$work" > "$work/config"
  echo 06 > "$work/serial"
  openssl ca -batch -selfsign -keyfile expired.key -in "$work/request" -out expired.crt -notext -md sha256 \
    -startdate 20200101000000Z -enddate 20210101000000Z -extfile "$work/extensions" -outdir "$work" \
    -config "$work/config" 2> /dev/null
fi

sbat='sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nslipway.test,3,Slipway tests,slipway.test,1,https://slipway.invalid/\n'
python3 make-image.py image.efi ".text=code" ".sbat=$sbat" ".cmdline=root=LABEL=a ro" ".linux=a kernel" ".initrd=an initrd"
python3 make-image.py plain.efi ".text=code" ".linux=a kernel"
python3 make-image.py "$work/addon.efi" ".text=code" ".sbat=$sbat" ".cmdline=quiet"
python3 make-image.py "$work/gap.efi" ".text=code" "-.linux=a kernel"
python3 make-image.py "$work/overlap.efi" ".text=code" "+.linux=a kernel"
python3 make-image.py "$work/two-sbat.efi" ".text=code" ".sbat=$sbat" ".sbat=$sbat"
python3 make-image.py "$work/bad-sbat.efi" ".text=code" ".sbat=sbat,1"
{ cat plain.efi; printf 'odd'; } > unaligned.efi

bysbsign() { sbsign --key "$1.key" --cert "$1.crt" --addcert middle.crt --output "$3" "$2" 2>/dev/null; }
bysbsign leaf image.efi sbsign.efi
bysbsign leaf plain.efi plain-signed.efi
bysbsign leaf unaligned.efi unaligned-signed.efi
bysbsign leaf "$work/addon.efi" addon.efi
bysbsign leaf "$work/gap.efi" gap-signed.efi
bysbsign leaf "$work/overlap.efi" overlap-signed.efi || rm -f overlap-signed.efi
bysbsign leaf "$work/two-sbat.efi" two-sbat.efi
bysbsign leaf "$work/bad-sbat.efi" bad-sbat.efi
bysbsign stranger image.efi stranger.efi
bysbsign server image.efi server.efi
bysbsign leaf stranger.efi twice.efi
bysbsign expired image.efi expired.efi
# The certificate of the signer alone.
sbsign --key leaf.key --cert leaf.crt --output leaf-only.efi image.efi 2>/dev/null

cat leaf.crt middle.crt > "$work/leaf-chain"
cat curve.crt middle.crt > "$work/curve-chain"
byossl() { # SIGNER DIGEST IN OUT [OPTION]
  chain="$work/$1-chain"; [ -f "$chain" ] || chain="$1.crt"
  rm -f "$4"
  osslsigncode sign ${5:-} -time 1700000000 -certs "$chain" -key "$1.key" -h "$2" -in "$3" -out "$4" > /dev/null
}
byossl leaf sha256 image.efi osslsigncode.efi
byossl leaf sha384 image.efi sha384.efi
byossl leaf sha512 image.efi sha512.efi
byossl leaf sha1 image.efi sha1.efi
byossl leaf md5 image.efi md5.efi
byossl curve sha256 image.efi curve.efi
byossl stranger sha256 image.efi "$work/outer.efi"
byossl leaf sha256 "$work/outer.efi" nested.efi -nest

# An image with systemd's stub; its own code is zeroed.
printf 'root=LABEL=a ro' > "$work/cmdline"; printf 'a kernel would be here' > "$work/linux"
objcopy --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
  --add-section .linux="$work/linux" --change-section-vma .linux=0x2000000 "$stub" "$work/uki.full"
python3 - "$work/uki.full" "$work/uki.efi" <<'S'
import struct, sys
image = bytearray(open(sys.argv[1], "rb").read())
pe, = struct.unpack_from("<I", image, 60)
count, optional = struct.unpack_from("<H", image, pe + 6)[0], struct.unpack_from("<H", image, pe + 20)[0]
struct.pack_into("<I", image, pe + 8, 0)  # the time of making
end = 0
for index in range(count):
    at = pe + 24 + optional + index * 40
    size, offset = struct.unpack_from("<II", image, at + 16)
    if image[at:at + 8].rstrip(b"\0") in (b".text", b".data", b".rela"):
        image[offset:offset + size] = bytes(size)
    end = max(end, offset + size)
open(sys.argv[2], "wb").write(image[:end])
S
bysbsign leaf "$work/uki.efi" "$work/uki-signed.efi"
gzip -9nc "$work/uki-signed.efi" > uki-signed.efi.gz

for file in *-signed.efi sbsign.efi stranger.efi twice.efi expired.efi leaf-only.efi osslsigncode.efi sha*.efi md5.efi curve.efi \
  nested.efi "$work/uki-signed.efi"; do
  name=$(basename "$file")
  echo "sbverify $name: $(sbverify --cert leaf.crt "$file" > /dev/null 2>&1 && echo ok || echo failed)"
  osslsigncode verify -in "$file" -CAfile root.crt -ignore-timestamp 2> /dev/null | sed -n \
    -e "s/^Calculated message digest *: \\([0-9A-F]*\\).*/osslsigncode $name: digest \\1/p" \
    -e "s/^Signature verification: /osslsigncode $name: /p"
done
rm -r "$work"
