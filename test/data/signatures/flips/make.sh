#!/bin/sh
# Signs the parts of an entry, each with another tool, for the sweep that turns bits of all of them. What is signed is numbers,
# one a line, which the test makes itself: 1 to 1200 is the first part, 1201 to 2400 the second. The keys are those of the
# directories beside this one, and for OpenPGP those in secret-keys.asc, without passphrase; all are test keys, and those that
# are there are kept. Tools: minisign 0.11, signify-openbsd, OpenSSH 9.2, gpg 2.2, openssl 3.0.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
chmod 600 ../sshsig/ed25519
part() { seq $(($1 * 1200 + 1)) $(($1 * 1200 + 1200)) > "$work/part-$1"; }
for number in 0 1 2 3 4 5 6 7 8 9 10; do part $number; done

minisign -S -W -s ../minisign/plain.key -m "$work/part-0" -x minisign.minisig > /dev/null
minisign -S -l -W -s ../minisign/plain.key -m "$work/part-1" -x legacy.minisig > /dev/null
signify-openbsd -S -s ../signify/plain.sec -m "$work/part-2" -x signify.sig
ssh-keygen -q -Y sign -f ../sshsig/ed25519 -n slipway < "$work/part-3" > sshsig.sig

export GNUPGHOME="$work/home" LC_ALL=C
mkdir -m 700 "$GNUPGHOME"
at() { # COMMAND...: gpg as on a day of the year 2026
  gpg --batch --quiet --no-tty --no-auto-check-trustdb --trust-model always --pinentry-mode loopback --passphrase '' \
    --faked-system-time 20260601T120000! --yes "$@" 2> "$work/said" || { cat "$work/said" >&2; exit 1; }
}
if [ ! -e secret-keys.asc ]; then
  for key in rsa3072 nistp256 ed25519; do at --quick-generate-key $key $key cert,sign never; done
  at --armor --output secret-keys.asc --export-secret-keys
  at --output keys.gpg --export
fi
at --import secret-keys.asc
bygpg() { # KEY PART OUTPUT OPTION...
  key=$1 number=$2 output=$3
  shift 3
  at "$@" --local-user "=$key" --output "$output" --detach-sign "$work/part-$number"
}
bygpg rsa3072 4 openpgp-rsa.sig
bygpg nistp256 5 openpgp-ecdsa.sig
bygpg ed25519 6 openpgp-eddsa.sig
bygpg ed25519 9 openpgp-armored.asc --armor
gpgconf --kill gpg-agent

bycms() { # SIGNER PART OUTPUT OPTION...
  signer=../authenticode/$1 number=$2 output=$3
  shift 3
  openssl cms -sign -binary -in "$work/part-$number" -signer "$signer.crt" -inkey "$signer.key" \
    -certfile ../authenticode/middle.crt -out "$output" "$@"
}
bycms leaf 7 cms-rsa.p7s -outform DER
bycms curve 8 cms-ecdsa.p7s -outform DER -noattr
bycms curve 10 cms-armored.p7s -outform PEM
rm -r "$work"
