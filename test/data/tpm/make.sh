#!/bin/sh
# Makes exchanges.txt (what tpm2-tools 5.4 and swtpm 0.7.1 say to each other) and measure.json (what systemd-measure 252 computes).
# Needs Debian's packages swtpm, tpm2-tools and systemd, and node. The other files: see README.md.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'kill "$swtpm" 2>/dev/null || true; rm -rf "$scratch"' EXIT

swtpm socket --tpm2 --tpmstate "dir=$scratch" --server "type=unixio,path=$scratch/socket" \
  --flags not-need-init,startup-clear &
swtpm=$!
while [ ! -S "$scratch/socket" ]; do sleep 0.1; done
export TPM2TOOLS_TCTI="cmd:node record.mjs $scratch/socket $scratch/exchanges"

: > exchanges.txt
# Each tool's call, then its exchanges: lines of a command, an answer, a command…
record() {
  : > "$scratch/exchanges"
  "$@" > "$scratch/out" 2>&1 || true
  { echo "# $*" | sed "s#$scratch/##g"; cat "$scratch/exchanges"; } >> exchanges.txt
}

printf '0123456789' > "$scratch/data"
sha256=2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
sha1=0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33
record tpm2_getcap pcrs
record tpm2_pcrextend "23:sha1=$sha1,sha256=$sha256"
record tpm2_pcrread sha256:8,9,10,11,12,13,14,15,16,23
record tpm2_nvdefine 0x1800001 -s 8 -a 'authread|authwrite|ownerread|nt=counter'
record tpm2_nvincrement 0x1800001
record tpm2_nvread 0x1800001
record tpm2_nvdefine 0x1800002 -s 10 -a 'authread|authwrite|ownerread|write_stclear|writedefine' -p secret
record tpm2_nvreadpublic 0x1800002
record tpm2_nvread 0x1800002 -P secret
record tpm2_nvwrite 0x1800002 -P secret -i "$scratch/data"
record tpm2_nvread 0x1800002 -P secret
record tpm2_nvread 0x1800002 -P wrong
record tpm2_nvwritelock 0x1800002 -P secret
record tpm2_nvwrite 0x1800002 -P secret -i "$scratch/data"
record tpm2_nvundefine 0x1800002
record tpm2_nvreadpublic 0x1800002

section() {
  printf '%s' "$2" > "$scratch/$1"
}
section linux 'a kernel would be here'
section osrel 'ID=acme'
section cmdline 'root=/dev/vda2 quiet'
section initrd 'an initrd'
section splash 'a picture'
section dtb 'a device tree'
section pcrpkey 'a public key'
calculate() {
  /lib/systemd/systemd-measure calculate --phase= --json=short "$@"
}
{
  printf '{\n  "linux": '
  calculate "--linux=$scratch/linux"
  printf ',\n  "linux initrd": '
  calculate "--linux=$scratch/linux" "--initrd=$scratch/initrd"
  printf ',\n  "linux osrel cmdline initrd splash dtb pcrpkey": '
  calculate "--linux=$scratch/linux" "--osrel=$scratch/osrel" "--cmdline=$scratch/cmdline" "--initrd=$scratch/initrd" \
    "--splash=$scratch/splash" "--dtb=$scratch/dtb" "--pcrpkey=$scratch/pcrpkey"
  printf '}\n'
} > measure.json
