#!/bin/sh
# Makes the files of this directory by the kernel's sign-file (the argument; of Debian's package linux-kbuild-6.1), with the
# keys of ../authenticode, and prints what openssl says of the signatures.
set -eu
cd "$(dirname "$0")"
sign_file=$1
keys=../authenticode
work=$(mktemp -d)
LC_ALL=C
export LC_ALL
printf 'a file that is signed\n' > content
for by in leaf curve stranger expired; do
  "$sign_file" sha256 $keys/$by.key $keys/$by.crt content $by
done
"$sign_file" sha512 $keys/leaf.key $keys/leaf.crt content sha512
"$sign_file" sha1 $keys/leaf.key $keys/leaf.crt content sha1
# The certificate is named by its key's identifier (-k is taken for PKCS #7 only); root is a CA without code signing.
"$sign_file" -k sha256 $keys/leaf.key $keys/leaf.crt content key-id 2> /dev/null || rm -f key-id
"$sign_file" sha256 $keys/root.key $keys/root.crt content root
"$sign_file" sha256 $keys/leaf.key $keys/leaf.crt stranger twice

# An intermediate certificate is enclosed by openssl only; the descriptor and the last line are put behind by hand.
openssl cms -sign -binary -noattr -md sha256 -signer $keys/leaf.crt -inkey $keys/leaf.key -certfile $keys/middle.crt \
  -in content -outform DER -out "$work/message"
openssl cms -sign -binary -nodetach -noattr -md sha256 -signer $keys/leaf.crt -inkey $keys/leaf.key \
  -in content -outform DER -out "$work/enclosing"
openssl crl2pkcs7 -nocrl -certfile $keys/leaf.crt -outform DER -out "$work/no-signer"
append() {
  python3 - content "$work/$1" > "$2" <<'S'
import struct, sys
content, message = (open(name, "rb").read() for name in sys.argv[1:])
sys.stdout.buffer.write(content + message + struct.pack(">8BI", 0, 0, 2, 0, 0, 0, 0, 0, len(message)) + b"~Module signature appended~\n")
S
}
append message chain
append enclosing enclosing
append no-signer no-signer

for file in leaf curve stranger expired sha512 sha1 key-id root chain; do
  [ -f $file ] || continue
  python3 - $file > "$work/p7" <<'S'
import struct, sys
data = open(sys.argv[1], "rb").read()[:-28]
length = struct.unpack(">I", data[-4:])[0]
sys.stdout.buffer.write(data[-12 - length:-12])
S
  for by in leaf curve stranger expired root; do
    if openssl cms -verify -binary -inform DER -in "$work/p7" -content content -certfile $keys/$by.crt -CAfile $keys/$by.crt \
      -partial_chain -purpose any -no_check_time -out /dev/null 2> /dev/null; then echo "openssl $file: good by $by"; fi
  done
done
rm -r "$work"
