#!/bin/sh
# Makes the fixtures anew, with gcc and GNU ld of Debian 12 (x86_64), and prints what readelf says of them.
set -e
work=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
cd "$work"
printf 'int one(void) { return 1; }\n' > one.c
printf 'int one(void);\nvoid _start(void) { one(); for (;;) { } }\n' > start.c
printf 'void _start(void) { for (;;) { } }\n' > alone.c
link="-nostdlib -nostartfiles -Wl,--no-as-needed,--build-id=none,-z,noseparate-code -s -O1 -fno-asynchronous-unwind-tables"
gcc $link -shared -Wl,-soname,libtwo.so.2 -o libtwo.so one.c
gcc $link -shared -Wl,-soname,libone.so.1 -Wl,--enable-new-dtags '-Wl,-rpath,$ORIGIN/../lib:/opt/lib' -o libone.so one.c libtwo.so -lc
gcc $link -pie -Wl,--disable-new-dtags -Wl,-rpath,/opt/old -Wl,--allow-shlib-undefined -o program start.c libone.so
gcc $link -m32 -shared -Wl,-soname,lib32.so.1 -o lib32.so one.c
gcc $link -static -no-pie -o static alone.c
gcc -c -O1 -o object.o one.c
for file in libone.so program lib32.so static object.o; do
  readelf -hldW "$file" | grep -E 'Class|Data|Type:  |Machine|interpreter|NEEDED|SONAME|RPATH|RUNPATH' | sed "s/^/$file: /; s/  */ /g"
  gzip -9nc "$file" > "$here/$file.gz"
done
rm -r "$work"
