#!/bin/sh
# Makes the keys and signatures of this directory and prints what gpg says of them (gpg.txt holds it). All keys are test keys;
# their secret halves are in secret-keys.asc, without passphrase. Each run makes new ones. Tools: gpg 2.2.40. The files of
# sequoia/ are made by make-sequoia.sh, those of v6/ by make-v6.mjs; rfc9580/ is from the appendix A of RFC 9580.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export GNUPGHOME="$work/home" LC_ALL=C
mkdir -m 700 "$GNUPGHOME"
cd "$here"
printf 'linux /vmlinuz\ninitrd /initrd.img\n' > message.txt

# at TIME COMMAND…: gpg at a time that stands still (YYYYMMDD of the year 2026 or another).
at() {
  time=$1
  shift
  gpg --batch --yes --quiet --no-tty --no-auto-check-trustdb --pinentry-mode loopback --passphrase '' --trust-model always \
    --no-auto-check-trustdb --faked-system-time "${time}T120000!" "$@"
}
# edit TIME KEY: the same for --edit-key, commands on standard input.
edit() {
  gpg --yes --quiet --no-tty --no-auto-check-trustdb --pinentry-mode loopback --passphrase '' --trust-model always --command-fd 0 \
    --status-fd 3 --faked-system-time "${1}T120000!" --expert --edit-key "=$2" 3> /dev/null 2> /dev/null
}
key() { at 20260101 --quick-generate-key "$1" "$2" "$3" "${4:-never}"; }
fingerprint() { gpg --batch --with-colons --list-keys "=$1" | awk -F: '$1 == "fpr" { print $10; exit }'; }
sign() { # TIME KEY NAME OPTIONS…
  time=$1 key=$2 name=$3
  shift 3
  at "$time" --local-user "=$key" "$@" --output "$name.sig" --detach-sign message.txt
}
export_key() { gpg --batch --yes --quiet --export-options no-export-attributes --output "$1.gpg" --export "=$1"; }

# Good ones, by the primary key.
key rsa rsa3072 cert,sign
key ed25519 ed25519 cert,sign
key nistp256 nistp256 cert,sign
key nistp384 nistp384 cert,sign
key nistp521 nistp521 cert,sign
for name in rsa ed25519 nistp256 nistp384 nistp521; do
  sign 20260601 $name $name
  export_key $name
done
gpg --batch --yes --quiet --armor --output rsa.asc --export =rsa
at 20260601 --local-user =rsa --armor --output rsa.sig.asc --detach-sign message.txt
sign 20260601 rsa sha384 --digest-algo SHA384
sign 20260601 rsa sha512 --digest-algo SHA512
sign 20260601 rsa two --local-user =ed25519
sign 20260601 rsa notation --sig-notation note@example.org=any

# Signatures that are refused for what they are.
sign 20260601 rsa sha1 --digest-algo SHA1
sign 20260601 rsa sha224 --digest-algo SHA224
sign 20260601 rsa ripemd160 --digest-algo RIPEMD160
sign 20260601 rsa text --textmode
sign 20260601 rsa expiring --default-sig-expire 30d
sign 20300101 rsa future
sign 20260601 rsa critical-notation --sig-notation '!note@example.org=any'
sign 20260601 rsa critical-policy --sig-policy-url '!https://example.org/'
at 20260601 --local-user =rsa --output clear.sig --clearsign message.txt
at 20260601 --local-user =rsa --armor --output inline.sig --sign message.txt
key other ed25519 cert,sign
sign 20260601 other other

# Subkeys: one signs, one encrypts.
key subkey ed25519 cert
at 20260102 --quick-add-key "$(fingerprint subkey)" rsa2048 sign
at 20260102 --quick-add-key "$(fingerprint subkey)" cv25519 encrypt
sign 20260601 subkey subkey
export_key subkey

# Usage taken back after the signature: of the primary key, of the subkey.
key certify-only ed25519 cert,sign
sign 20260601 certify-only certify-only
printf 'change-usage\nS\nQ\nsave\n' | edit 20260602 certify-only
export_key certify-only
key encrypt-only ed25519 cert
at 20260102 --quick-add-key "$(fingerprint encrypt-only)" rsa2048 sign,encrypt
sign 20260601 encrypt-only encrypt-only
printf 'key 1\nchange-usage\nS\nQ\nsave\n' | edit 20260602 encrypt-only
export_key encrypt-only

# Lives: of a key, of a subkey, one that ended before the signature was made.
key expiring-key ed25519 cert,sign 1y
sign 20260601 expiring-key expiring-key
export_key expiring-key
key expiring-subkey ed25519 cert
at 20260101 --quick-add-key "$(fingerprint expiring-subkey)" ed25519 sign 1y
sign 20260601 expiring-subkey expiring-subkey
export_key expiring-subkey
key expired-before ed25519 cert,sign
sign 20260601 expired-before expired-before
at 20260602 --quick-set-expire "$(fingerprint expired-before)" 20260401T000000
export_key expired-before
key extended ed25519 cert,sign 30d
at 20260120 --quick-set-expire "$(fingerprint extended)" 20280101T000000
sign 20260601 extended extended
export_key extended

# Revocations: of keys (0 no reason, 1 compromised, 2 superseded, 3 no longer used), of a subkey, of a user ID.
for reason in 0 1 2 3; do
  key revoked-$reason ed25519 cert,sign
  sign 20260301 revoked-$reason revoked-$reason-before
  sign 20260601 revoked-$reason revoked-$reason-after
  printf 'revkey\ny\n%s\n\ny\nsave\n' $reason | edit 20260501 revoked-$reason
  export_key revoked-$reason
done
key revoked-subkey ed25519 cert
at 20260102 --quick-add-key "$(fingerprint revoked-subkey)" ed25519 sign
sign 20260601 revoked-subkey revoked-subkey
printf 'key 1\nrevkey\ny\n1\n\ny\nsave\n' | edit 20260501 revoked-subkey
export_key revoked-subkey
key revoked-uid ed25519 cert,sign
sign 20260601 revoked-uid revoked-uid
at 20260102 --quick-add-uid "$(fingerprint revoked-uid)" second
at 20260501 --quick-revoke-uid "$(fingerprint revoked-uid)" revoked-uid
gpg --batch --yes --quiet --output revoked-uid.gpg --export-filter 'keep-uid=uid =~ revoked-uid' \
  --export "$(fingerprint revoked-uid)"
# The designated revoker, another key, has revoked it.
key designated ed25519 cert,sign
printf 'addrevoker\n%s\ny\nsave\n' "$(fingerprint other)" | edit 20260102 designated
sign 20260301 designated designated
printf 'y\n0\n\ny\n' | gpg --yes --quiet --no-tty --no-auto-check-trustdb --pinentry-mode loopback --passphrase '' --command-fd 0 --status-fd 3 \
  --faked-system-time 20260501T120000! --output "$work/designated.rev" --desig-revoke =designated 3> /dev/null 2> /dev/null
at 20260501 --import "$work/designated.rev"
export_key designated

# Weak keys and self-signatures.
key rsa1024 rsa1024 cert,sign
sign 20260601 rsa1024 rsa1024
export_key rsa1024
key dsa dsa2048 cert,sign
sign 20260601 dsa dsa
export_key dsa
key weak-subkey ed25519 cert
at 20260102 --quick-add-key "$(fingerprint weak-subkey)" rsa1024 sign
sign 20260601 weak-subkey weak-subkey
export_key weak-subkey
at 20260101 --cert-digest-algo SHA1 --quick-generate-key sha1-key rsa2048 cert,sign never
sign 20260601 sha1-key sha1-key
export_key sha1-key
key secp256k1 secp256k1 cert,sign
sign 20260601 secp256k1 secp256k1
export_key secp256k1

# A certificate that others have signed, with DSA too; a keyring of three.
key certified ed25519 cert,sign
for name in rsa dsa; do at 20260201 --local-user "=$name" --quick-sign-key "$(fingerprint certified)" > /dev/null; done
sign 20260601 certified certified
export_key certified
gpg --batch --yes --quiet --output keyring.gpg --export =rsa =ed25519 =subkey
gpg --batch --yes --quiet --armor --output secret-keys.asc --export-secret-keys
gpg --batch --yes --quiet --output secret-key.gpg --export-secret-keys =rsa
# The SHA-256 of its SubjectPublicKeyInfo, by way of OpenSSH and OpenSSL.
gpg --batch --quiet --export-ssh-key "$(fingerprint rsa)!" > "$work/rsa.pub"
ssh-keygen -e -m PKCS8 -f "$work/rsa.pub" | openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1 > rsa.spki

# What gpg says, in the year 2026; exit status, then the status lines that tell why.
: > gpg.txt
for name in *.sig rsa.sig.asc; do
  status=0
  gpg --batch --no-tty --trust-model always --faked-system-time 20260701T120000! --status-fd 1 \
    --verify "$name" message.txt > "$work/status" 2> /dev/null || status=$?
  words=$(awk '/SIG |REVKEYSIG|KEYEXPIRED|NO_PUBKEY|VALIDSIG/ { print $2 }' "$work/status" | sort -u | tr '\n' ' ')
  printf '%s: %s %s\n' "$name" "$status" "$words" >> gpg.txt
done
gpgconf --kill all
rm -rf "$work"
