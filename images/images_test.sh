#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests the image builders with a kernel made up for the purpose: no download, no VM. usage: images/images_test.sh
set -euo pipefail
images=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

# shellcheck source-path=SCRIPTDIR source=test_lib.sh
source "$images/test_lib.sh"
files_of() { cpio --quiet -t <"$1" | sort; }
content_of() { cpio --quiet -i --to-stdout "$2" <"$1"; }

# --- A kernel with four modules, one of them signed and one compressed ---
release=6.1.0-test
tree=kernel/lib/modules/$release
mkdir -p "$tree/kernel/a"
printf '%s\n' "$release" >kernel/release
printf 'kernel image' >kernel/vmlinuz
printf 'CONFIG' >kernel/config
for name in bus disk vsock; do printf 'module %s' "$name" >"$tree/kernel/a/$name.ko"; done
{ printf 'SIGNATURE'; printf '\0\0\0\0\0\0\0\0\0\0\0\011'; printf '~Module signature appended~\n'; } >>"$tree/kernel/a/disk.ko"
printf 'module erofs' | xz >"$tree/kernel/a/erofs.ko.xz"
cat >"$tree/modules.dep" <<'DEP'
kernel/a/vsock.ko: kernel/a/bus.ko
kernel/a/disk.ko: kernel/a/bus.ko
kernel/a/erofs.ko.xz:
kernel/a/bus.ko:
kernel/a/unwanted.ko:
DEP
printf 'kernel/fs/ext4/ext4.ko\nkernel/fs/proc/proc.ko\n' >"$tree/modules.builtin"
cat >modules.load <<'LOAD'
# comment
vsock
disk   when=virtio:2  # comment
LOAD
printf 'init' >init && printf 'agent' >agent && chmod +x init agent

initramfs=("$images/rootfs/build-initramfs" --kernel kernel --modules modules.load --init init)
export BERTH_BUILDER=test  # no progress lines

"${initramfs[@]}" --agent agent one.img
expect_equal "modules in the initramfs" "$(files_of one.img | grep -c '\.ko$')" 4
expect_equal "modules.dep" "$(content_of one.img "lib/modules/$release/modules.dep" | tr '\n' ';')" \
  "kernel/a/bus.ko:;kernel/a/disk.ko: kernel/a/bus.ko;kernel/a/erofs.ko:;kernel/a/vsock.ko: kernel/a/bus.ko;"
expect_equal "modules.builtin" "$(content_of one.img "lib/modules/$release/modules.builtin")" kernel/fs/ext4/ext4.ko
expect_equal "modules.load" "$(content_of one.img etc/berth/modules.load | tr '\n' ';')" "vsock;disk when=virtio:2;"
expect_equal "signature" "$(content_of one.img "lib/modules/$release/kernel/a/disk.ko")" "module disk"
expect_equal "compressed module" "$(content_of one.img "lib/modules/$release/kernel/a/erofs.ko")" "module erofs"
expect_equal "init" "$(content_of one.img init)" init
expect_equal "agent" "$(content_of one.img sbin/berth-agent)" agent

"${initramfs[@]}" --keep-signatures signed.img
expect_equal "kept signature" "$(content_of signed.img "lib/modules/$release/kernel/a/disk.ko" | sum)" "$(sum "$tree/kernel/a/disk.ko")"
if files_of signed.img | grep -q berth-agent; then fail "an agent that nobody named"; fi

"${initramfs[@]}" --without bus nobus.img
expect_equal "modules that need one left out" "$(files_of nobus.img | grep '\.ko$')" "lib/modules/$release/kernel/a/erofs.ko"

# --- The same bytes, whoever builds, when, where ---
mkdir elsewhere
cp -a kernel modules.load init agent elsewhere/
find elsewhere -exec touch -d 2001-01-01 {} +
(umask 077 && cd elsewhere && TZ=Asia/Tokyo LC_ALL=C.UTF-8 "${initramfs[@]}" --agent agent two.img)
expect_equal "initramfs built elsewhere" "$(sum elsewhere/two.img)" "$(sum one.img)"
SOURCE_DATE_EPOCH=86400 "${initramfs[@]}" --agent agent later.img
[[ $(sum later.img) != "$(sum one.img)" ]] || fail "SOURCE_DATE_EPOCH is not heeded"

formats=(erofs ext4)
if PATH=$PATH:/usr/sbin command -v mksquashfs >/dev/null; then formats+=(squashfs); fi
for format in "${formats[@]}"; do
  "$images/rootfs/build-demo" --format "$format" --init init --agent agent --add init:opt/tool "one.$format"
  (umask 077 && cd elsewhere && TZ=Asia/Tokyo "$images/rootfs/build-demo" --format "$format" --init init --agent agent --add init:opt/tool "two.$format")
  expect_equal "$format built elsewhere" "$(sum "elsewhere/two.$format")" "$(sum "one.$format")"
done

demo=("$images/demo/build" --kernel kernel --init init --agent agent)
"${demo[@]}" one
(cd elsewhere && "${demo[@]}" two)
for file in vmlinuz initrd.img rootfs.erofs image.json; do
  expect_equal "$file of an image built elsewhere" "$(sum "elsewhere/two/$file")" "$(sum "one/$file")"
done
for file in vmlinuz initrd.img rootfs.erofs; do
  grep -q "\"$file\": \"$(sum "one/$file")\"" one/image.json || fail "image.json has another sha256 of $file"
done

# --- Only what changed is built again; what is not ours is left alone; an interrupted build leaves what was there ---
inode=$(stat -c %i one)
"${demo[@]}" one
expect_equal "image built again without need" "$(stat -c %i one)" "$inode"
printf 'agent, changed' >agent
"${demo[@]}" one
[[ $(stat -c %i one) != "$inode" ]] || fail "a changed agent did not make a new image"
before=$(sum one/image.json)
cp -a kernel broken && rm "broken/lib/modules/$release/modules.dep"
expect_error "modules.dep" "${demo[@]}" --kernel broken --name other one
expect_equal "image after a build that failed" "$(sum one/image.json)" "$before"
mkdir precious && touch precious/file
expect_error "is not an image" "${demo[@]}" precious
[[ -f precious/file ]] || fail "a folder that is no image was replaced"
mv one one.old
"${demo[@]}" one
[[ -f one/image.json && ! -e one.old ]] || fail "an interrupted replacement was not finished"

expect_error "no file nowhere" "${demo[@]}" --init nowhere one
expect_error "not one of" "${demo[@]}" --rootfs zip one
[[ -z $(find . -maxdepth 2 -name '.image.*' -o -maxdepth 2 -name '.rootfs.*' -o -maxdepth 2 -name '.initramfs.*') ]] ||
  fail "a builder left its temporary folder"
echo "all passed"
