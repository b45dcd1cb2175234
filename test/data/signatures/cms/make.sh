#!/bin/sh
# Makes the certificates and signatures of this directory with openssl 3.0, certtool 3.7 (GnuTLS) and gpgsm 2.2, and prints what
# `openssl cms -verify` says of them (of Ed25519: certtool). The keys in keys/ are for tests and protect nothing. Certificates
# are valid from 2026 to 2045 where nothing else is said.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p keys
rm -f ./*.pem ./*.der ./*.p7s message*

cat > "$work/ca.cnf" <<S
[ca]
default_ca = d
[d]
database = $work/index
new_certs_dir = $work
rand_serial = yes
unique_subject = no
policy = p
email_in_dn = yes
[p]
organizationName = optional
commonName = supplied
emailAddress = optional
[req]
distinguished_name = dn
utf8 = yes
string_mask = utf8only
[dn]
S
: > "$work/index"

key() { # NAME ALGORITHM [OPTION...]
  name=$1 algorithm=$2
  shift 2
  [ -e "keys/$name.key" ] ||
    openssl genpkey -algorithm "$algorithm" "$@" -out "keys/$name.key" 2> "$work/log"
}
p256() { key "$1" EC -pkeyopt ec_paramgen_curve:P-256; }

# NAME KEY SUBJECT ISSUER START END DIGEST EXTENSION-LINES...; the issuer "self" signs itself
certificate() {
  name=$1 key=$2 subject=$3 issuer=$4 start=$5 end=$6 digest=$7
  shift 7
  printf '%s\n' "[e]" "$@" > "$work/e.cnf"
  openssl req -new -config "$work/ca.cnf" -key "keys/$key.key" -subj "$subject" -out "$work/csr"
  if [ "$issuer" = self ]; then by="-selfsign -keyfile keys/$key.key"; else by="-keyfile keys/$(cat "$work/$issuer.keyname").key -cert $issuer.pem"; fi
  # shellcheck disable=SC2086
  openssl ca -batch -notext -config "$work/ca.cnf" -in "$work/csr" -out "$name.pem" $by -md "$digest" \
    -startdate "$start" -enddate "$end" -extfile "$work/e.cnf" -extensions e 2> "$work/log" || { cat "$work/log"; exit 1; }
  echo "$key" > "$work/$name.keyname"
}
from=20260101000000Z
to=20450101000000Z
ids="subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid"
ca="basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
$ids"
code="keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
$ids"

key root RSA -pkeyopt rsa_keygen_bits:2048
key other-root RSA -pkeyopt rsa_keygen_bits:2048
key rsa RSA -pkeyopt rsa_keygen_bits:2048
key rsa1024 RSA -pkeyopt rsa_keygen_bits:1024
key pss RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 \
  -pkeyopt rsa_pss_keygen_saltlen:32
key p384 EC -pkeyopt ec_paramgen_curve:P-384
key k256 EC -pkeyopt ec_paramgen_curve:secp256k1
key explicit EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit
key compressed-full EC -pkeyopt ec_paramgen_curve:P-256
openssl ec -in keys/compressed-full.key -conv_form compressed -out keys/compressed.key 2> "$work/log"
key ed25519 ED25519
key ed448 ED448
for name in signing-ca p256 sub-ca child deep constrained inside outside; do p256 $name; done

certificate root root "/O=Acme/CN=Acme Root" self $from $to sha256 "$ca"
# The same name with another key: with the key identifier it is another issuer, without it the signature tells.
certificate other-root other-root "/O=Acme/CN=Acme Root" self $from $to sha256 "$ca"
certificate other-root-plain other-root "/O=Acme/CN=Acme Root" self $from $to sha256 \
  "basicConstraints = critical, CA:true" "keyUsage = critical, keyCertSign" "subjectKeyIdentifier = none"
certificate other-kind p384 "/O=Acme/CN=Acme Root" self $from $to sha256 \
  "basicConstraints = critical, CA:true" "keyUsage = critical, keyCertSign" "subjectKeyIdentifier = none"
# A root whose own signature is weak, which nobody looks at.
certificate root-sha1 root "/O=Acme/CN=Acme Root" self $from $to sha1 "$ca"
certificate signing-ca signing-ca "/O=Acme/CN=Acme Signing CA" root $from $to sha256 \
  "basicConstraints = critical, CA:true, pathlen:0" "keyUsage = critical, keyCertSign" "$ids"
certificate expired-ca signing-ca "/O=Acme/CN=Acme Signing CA" root 20230101000000Z 20240101000000Z sha256 "$ca"
certificate signing-ca-tls signing-ca "/O=Acme/CN=Acme Signing CA" root $from $to sha256 "$ca" "extendedKeyUsage = serverAuth"
certificate signing-ca-nosign signing-ca "/O=Acme/CN=Acme Signing CA" root $from $to sha256 \
  "basicConstraints = critical, CA:true" "keyUsage = critical, cRLSign" "$ids"
certificate signing-ca-v1ish signing-ca "/O=Acme/CN=Acme Signing CA" root $from $to sha256 "$ids"
certificate rsa rsa "/O=Acme/CN=rsa" signing-ca $from $to sha256 "$code"
certificate pss pss "/O=Acme/CN=pss" signing-ca $from $to sha256 "$code"
certificate p256 p256 "/O=Acme/CN=p256" signing-ca $from $to sha256 "$code"
certificate p384 p384 "/O=Acme/CN=p384" signing-ca $from $to sha384 "$code"
certificate ed25519 ed25519 "/O=Acme/CN=ed25519" signing-ca $from $to sha256 "$code"
certificate ed448 ed448 "/O=Acme/CN=ed448" signing-ca $from $to sha256 "$code"
certificate k256 k256 "/O=Acme/CN=k256" signing-ca $from $to sha256 "$code"
certificate explicit explicit "/O=Acme/CN=explicit" signing-ca $from $to sha256 "$code"
certificate compressed compressed "/O=Acme/CN=compressed" signing-ca $from $to sha256 "$code"
certificate rsa1024 rsa1024 "/O=Acme/CN=rsa1024" signing-ca $from $to sha256 "$code"
certificate expired p256 "/O=Acme/CN=expired" signing-ca 20240101000000Z 20250101000000Z sha256 "$code"
certificate future p256 "/O=Acme/CN=future" signing-ca 20400101000000Z $to sha256 "$code"
certificate server p256 "/O=Acme/CN=server" signing-ca $from $to sha256 "keyUsage = digitalSignature" "extendedKeyUsage = serverAuth" "$ids"
certificate any-usage p256 "/O=Acme/CN=any-usage" signing-ca $from $to sha256 "extendedKeyUsage = anyExtendedKeyUsage" "$ids"
certificate no-usage p256 "/O=Acme/CN=no-usage" signing-ca $from $to sha256 "$ids"
certificate encipher p256 "/O=Acme/CN=encipher" signing-ca $from $to sha256 "keyUsage = keyAgreement" "extendedKeyUsage = codeSigning" "$ids"
certificate critical p256 "/O=Acme/CN=critical" signing-ca $from $to sha256 "$code" "1.2.3.4 = critical, DER:0500"
certificate sha1 p256 "/O=Acme/CN=sha1" signing-ca $from $to sha1 "$code"
certificate md5 p256 "/O=Acme/CN=md5" root $from $to md5 "$code"
certificate sha224 p256 "/O=Acme/CN=sha224" signing-ca $from $to sha224 "$code"
# Issued by what is no CA, by a CA too many, by CAs that restrict names.
certificate child child "/O=Acme/CN=child" p256 $from $to sha256 "$code"
certificate sub-ca sub-ca "/O=Acme/CN=Acme Sub CA" signing-ca $from $to sha256 "$ca"
certificate deep deep "/O=Acme/CN=deep" sub-ca $from $to sha256 "$code"
constraints() { printf '%s\n' "$ca" "nameConstraints = critical, $1" "[dir]" "O = Acme"; }
certificate constrained constrained "/O=Acme/CN=Constrained CA" root $from $to sha256 "$(constraints 'permitted;dirName:dir')"
certificate excluding constrained "/O=Acme/CN=Constrained CA" root $from $to sha256 "$(constraints 'excluded;dirName:dir')"
certificate mail-ca constrained "/O=Acme/CN=Constrained CA" root $from $to sha256 "$(constraints 'permitted;email:acme.example')"
certificate inside inside "/O=Acme/CN=inside" constrained $from $to sha256 "$code"
certificate outside outside "/O=Other/CN=outside" constrained $from $to sha256 "$code"
certificate mail inside "/O=Acme/CN=mail/emailAddress=a@acme.example" constrained $from $to sha256 "$code"
# Trusted by itself.
certificate pinned p256 "/CN=pinned" self $from $to sha256 "subjectKeyIdentifier = hash"
certificate pinned-server p256 "/CN=pinned-server" self $from $to sha256 "extendedKeyUsage = serverAuth"
openssl x509 -in rsa.pem -outform DER -out rsa.der
cat root.pem pinned.pem > two.pem
openssl x509 -in root.pem -text > text.pem

printf 'a kernel would be here\n' > message
sign() { # NAME CERTIFICATE KEY [OPTION...]
  name=$1 signer=$2 key=$3
  shift 3
  openssl cms -sign -binary -in message -signer "$signer.pem" -inkey "keys/$key.key" -certfile signing-ca.pem \
    -outform DER -out "$name.p7s" "$@"
}
sign rsa rsa rsa
sign rsa-plain rsa rsa -noattr
sign rsa-sha384 rsa rsa -md sha384
sign rsa-sha512-plain rsa rsa -md sha512 -noattr
sign pss rsa rsa -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:32
sign pss-plain rsa rsa -keyopt rsa_padding_mode:pss -noattr
sign pss-key pss pss -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:32
sign pss-mask rsa rsa -keyopt rsa_padding_mode:pss -keyopt rsa_mgf1_md:sha1
sign p256 p256 p256
sign p256-plain p256 p256 -noattr
sign p384 p384 p384 -md sha384
sign key-id p256 p256 -keyid
sign no-certificates p256 p256 -nocerts
sign sha1 rsa rsa -md sha1
sign md5 rsa rsa -md md5
sign sha224 rsa rsa -md sha224
sign sha1-plain rsa rsa -md sha1 -noattr
sign expired expired p256
sign future future p256
sign server server p256
sign no-usage no-usage p256
sign pinned pinned p256
sign rsa1024 rsa1024 rsa1024
sign enclosed p256 p256 -nodetach
sign stream p256 p256 -stream
sign other-type p256 p256 -econtent_type 1.2.840.113549.1.9.16.1.4
sign two-signers p256 p256 -signer rsa.pem -inkey keys/rsa.key
# What iPXE's documentation says (imgverify): with the certificate's chain, DER.
openssl cms -sign -binary -noattr -in message -signer rsa.pem -inkey keys/rsa.key -certfile signing-ca.pem -outform DER -out ipxe.p7s
openssl cms -sign -binary -in message -signer p256.pem -inkey keys/p256.key -certfile signing-ca.pem -outform PEM -out cms.pem.p7s
openssl smime -sign -binary -in message -signer rsa.pem -inkey keys/rsa.key -certfile signing-ca.pem -outform PEM -out pkcs7.pem.p7s
openssl crl2pkcs7 -nocrl -certfile rsa.pem -outform DER -out nobody.p7s
# openssl 3.0 does not make signatures by Ed25519, GnuTLS does.
cat ed25519.pem signing-ca.pem > "$work/chain"
for option in "" --p7-time; do
  # shellcheck disable=SC2086
  certtool --p7-detached-sign $option --load-privkey keys/ed25519.key --load-certificate "$work/chain" --infile message \
    --outder --outfile "ed25519${option:+-attributes}.p7s" 2> "$work/log" || { cat "$work/log"; exit 1; }
done

# A content that is what the signature of p256.p7s is over: its attributes, as a SET.
openssl asn1parse -inform DER -in p256.p7s > "$work/dump"
offset=$(awk -F'[: ]+' '/cont \[ 0 \]/ { at = $0 } END { print at }' "$work/dump" | sed 's/^ *\([0-9]*\):.*/\1/')
openssl asn1parse -inform DER -in p256.p7s -strparse "$offset" -noout -out "$work/attributes"
{ printf '1'; tail -c +2 "$work/attributes"; } > message.attributes

# gpgsm writes indefinite lengths.
GNUPGHOME=$work/gnupg
export GNUPGHOME
mkdir -m 700 "$GNUPGHOME"
echo disable-crl-checks > "$GNUPGHOME/gpgsm.conf"
printf 'allow-mark-trusted\nallow-loopback-pinentry\n' > "$GNUPGHOME/gpg-agent.conf"
openssl x509 -in root.pem -noout -fingerprint -sha1 | sed 's/.*=//; s/$/ S/' > "$GNUPGHOME/trustlist.txt"
gpgsm --batch --import root.pem signing-ca.pem rsa.pem 2> "$work/log"
# gpgsm 2.2 cannot read some of these files: another salt helps.
for try in 1 2 3 4 5 6 7 8; do
  openssl pkcs12 -export -in rsa.pem -inkey keys/rsa.key -passout pass:x -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES \
    -macalg sha1 -out "$work/p12"
  echo x | gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --import "$work/p12" 2> "$work/log" && break
done
echo x | gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --detach-sign --local-user rsa \
  --output gpgsm.p7s message 2> "$work/log" || { cat "$work/log"; exit 1; }
gpgconf --kill all
for name in ed25519*.p7s; do
  certtool --p7-verify --load-ca-certificate root.pem --load-data message --inder --infile "$name" > /dev/null 2> "$work/log" &&
    echo "$name: good"
done
for name in ./*.p7s; do
  case $name in ./ed25519*) continue ;; *.pem.p7s) form=PEM ;; *) form=DER ;; esac
  openssl cms -verify -binary -inform $form -in "$name" -content message -CAfile root.pem -purpose any -attime 1780000000 \
    -out /dev/null 2> "$work/log" && echo "$name: good" || echo "$name: $(grep -v '^CMS' "$work/log" | head -1 | cut -d: -f4-7)"
done
