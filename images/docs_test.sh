#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every example of docs/images.md, berth-image(1) and berth-init(8) as it stands there, in a folder with what they name, and
# makes every man page. usage: images/docs_test.sh BERTH BERTH_INIT
set -euo pipefail
berth=$(realpath -- "$1")
berth_init=$(realpath -- "$2")
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

mkdir bin guest root
ln -s "$berth" bin/berth
ln -s "$berth_init" bin/berth-init
printf 'hostname = "web"\n' >init.toml
printf '#!/bin/sh\n[ "$1" = --check ]\n' >guest/berth-init
printf 'agent' >guest/berth-agent
chmod 755 guest/*
export PATH=$work/bin:$PATH:/usr/sbin:/sbin BERTH_GUEST_DIR=$work/guest
mkdir -p root/bin kernel/lib/modules/6.1.0-docs/kernel
printf 'a program' >root/bin/web
tar -cf root.tar -C root .
# The least that has the marks of a bzImage: boot_flag, "HdrS", kernel_version.
{ head -c 510 /dev/zero; printf '\125\252'; head -c 2 /dev/zero; printf 'HdrS'; head -c 8 /dev/zero; printf '\100\000'
  head -c 48 /dev/zero; printf '6.1.0-docs (x)'; head -c 512 /dev/zero; } >kernel/vmlinuz
printf 'module' >kernel/lib/modules/6.1.0-docs/kernel/erofs.ko
printf 'kernel/erofs.ko:\n' >kernel/lib/modules/6.1.0-docs/modules.dep
umoci init --layout layout
umoci new --image layout:web
umoci raw add-layer --image layout:web root.tar
umoci config --image layout:web --config.entrypoint /bin/web

ran=0
run_examples() { # PAGE START
  local line inside=
  while IFS= read -r line; do
    if [[ -z $inside && $line == "$2" ]]; then
      inside=1
    elif [[ -n $inside && $line == '```' ]]; then
      inside=
    elif [[ -n $inside ]]; then
      printf '$ %s\n' "$line"
      bash -euo pipefail -c "$line" </dev/null
      ran=$((ran + 1))
    fi
  done <"$1"
}
run_examples "$repo/docs/images.md" '```sh'
run_examples "$repo/docs/man/berth-image.1.scd" '```'
run_examples "$repo/docs/man/berth-init.8.scd" '```'
((ran >= 15)) || { echo "docs_test: only $ran commands were found"; exit 1; }
for page in "$repo"/docs/man/*.scd; do
  scdoc <"$page" >"$work/page.roff"
done
# Each option that the program has is on the page.
while read -r option; do
  case $option in --help | --socket) continue ;; esac
  grep -qF -e "*$option*" "$repo/docs/man/berth-image.1.scd" || { echo "docs_test: $option is not on the man page"; exit 1; }
done < <(berth image build --help | grep -oE '^ +(-[a-z],)?--[a-z-]+' | grep -oE -e '--[a-z-]+')
echo "docs_test: $ran commands passed"
