#!/bin/sh
# Makes the lists of this directory by efitools 1.9.2, of the certificates and images in ../authenticode, and prints what they
# hold: the digests of images as hash-to-efi-sig-list says them, those of certificates by openssl. That is judged.txt.
set -eu
cd "$(dirname "$0")"
from=../authenticode
owner=77fa9abd-0359-4d32-bd60-28f4e78f784b
work=$(mktemp -d)
LC_ALL=C
export LC_ALL
for name in root middle leaf; do cert-to-efi-sig-list -g $owner $from/$name.crt $name.esl; done
hash-to-efi-sig-list $from/image.efi image.esl > /dev/null
hash-to-efi-sig-list $from/image.efi $from/plain.efi images.esl > /dev/null
hash-to-efi-sig-list $from/unaligned.efi unaligned.esl > /dev/null
for bits in 256 384 512; do cert-to-efi-hash-list -g $owner -s $bits $from/leaf.crt leaf-sha$bits.esl > /dev/null; done
cert-to-efi-hash-list -g $owner -s 256 -t '2024-05-31 12:30:05' $from/middle.crt middle-time.esl > /dev/null
cat root.esl images.esl > db.esl
sign-efi-sig-list -t '2024-05-31 12:30:05' -g $owner -k $from/root.key -c $from/root.crt db db.esl db.auth > /dev/null
{ printf '\047\000\000\000'; cat db.esl; } > db.variable

for name in image plain unaligned; do
  cp $from/$name.efi "$work/image"
  echo "hash-to-efi-sig-list $name: $(hash-to-efi-sig-list "$work/image" "$work/list" | grep -io '[0-9a-f]\{64\}')"
done
for name in root middle leaf; do
  echo "der $name: $(openssl x509 -in $from/$name.crt -outform DER | sha256sum | cut -c1-64)"
  openssl x509 -in $from/$name.crt -outform DER -out "$work/der"
  # TBSCertificate is the first element of the certificate.
  openssl asn1parse -inform DER -in "$work/der" -strparse 4 -noout -out "$work/tbs"
  for bits in 256 384 512; do echo "tbs $name: $(openssl dgst -sha$bits -r "$work/tbs" | cut -d' ' -f1)"; done
done
rm -r "$work"
