#!/bin/sh
# Makes the trees of this directory with dtc and fdtoverlay 1.6.1.
set -eu
cd "$(dirname "$0")"
for name in base overlay-1 overlay-2; do
  dtc -q -@ -O dtb -o "$name.dtb" "$name.dts"
done
dtc -q -V 16 -O dtb -o base-16.dtb base.dts
fdtoverlay -i base.dtb -o merged-1.dtb overlay-1.dtb
fdtoverlay -i base.dtb -o merged-2.dtb overlay-1.dtb overlay-2.dtb
