#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests `berth image` with everything real but the kernel: each source in each format, read back by other tools. No download, no
# VM. usage: images/image_test.sh BERTH
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=test_lib.sh
source "$here/test_lib.sh"
berth=$(realpath -- "$1")
work=$(mktemp -d)
children=()
# shellcheck disable=SC2317  # the trap calls it
clean_up() {
  for child in "${children[@]+"${children[@]}"}"; do kill -KILL "$child" 2>/dev/null || true; done
  chmod -R u+rwX -- "$work" 2>/dev/null || true
  rm -rf -- "$work"
}
trap clean_up EXIT
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
# Where everybody may look, for part of it is done as another user.
chmod 755 "$work"
cd -- "$work"

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }

# --- Stand-ins: an init that checks a configuration by looking for the word "mistake", and a kernel with four modules ---
mkdir guest
cat >guest/berth-init <<'INIT'
#!/bin/sh
[ "$1" = --check ] || exit 2
if grep -n mistake "$2"; then echo "$2:1:1: mistake is no key"; exit 1; fi
INIT
printf 'agent' >guest/berth-agent
chmod 755 guest guest/*
export BERTH_GUEST_DIR=$work/guest
release=6.1.0-test
modules=kernel/lib/modules/$release
mkdir -p "$modules/kernel/a"
head -c 514 /dev/zero >kernel/vmlinuz
{ printf 'HdrS'; head -c 8 /dev/zero; printf '\100\000'; head -c 48 /dev/zero; printf '%s (test)' "$release"; head -c 512 /dev/zero; } >>kernel/vmlinuz
printf '\125\252' | dd of=kernel/vmlinuz bs=1 seek=510 conv=notrunc status=none
for name in virtio_mmio vmw_vsock_virtio_transport; do printf 'module %s' "$name" >"$modules/kernel/a/$name.ko"; done
{ printf 'SIGNATURE'; printf '\0\0\0\0\0\0\0\0\0\0\0\011'; printf '~Module signature appended~\n'; } >>"$modules/kernel/a/virtio_mmio.ko"
printf 'module erofs' | xz >"$modules/kernel/a/erofs.ko.xz"
printf '%s\n' 'kernel/a/virtio_mmio.ko:' 'kernel/a/vmw_vsock_virtio_transport.ko: kernel/a/virtio_mmio.ko' \
  'kernel/a/erofs.ko.xz:' >"$modules/modules.dep"
with_kernel=(--kernel kernel/vmlinuz --modules kernel)
readonly formats=(erofs ext4 squashfs initramfs)
readonly kOddName=$'odd \t"\\\nname\377'
kLongName=$(printf 'n%.0s' {1..254})
readonly kLongName kCapability=0x0100000200200000000000000000000000000000

# --- A root file system with everything in it that can get lost, made under fakeroot as a tar archive ---
cat >make-root <<'MAKE'
set -eu
mkdir -p root/usr/sbin root/etc root/empty root/var/lib/deep root/dev
ln -s usr/sbin root/sbin
printf 'program' >root/usr/bin-file; chmod 4755 root/usr/bin-file
printf 'shared' >root/etc/one; ln root/etc/one root/var/lib/two; chown 1000:2000 root/etc/one; chmod 640 root/etc/one
ln -s ../etc/one root/var/link; chown -h 7:8 root/var/link
mknod root/dev/null c 1 3; chmod 666 root/dev/null; mknod root/dev/vda b 254 5; mkfifo -m 600 root/var/fifo
printf 'odd' >"root/$ODD"; printf 'long' >"root/$LONG"
truncate -s 5M root/sparse; printf 'end' >>root/sparse
mkdir -m 1777 root/tmp; mkdir -m 2750 root/setgid; chown 0:42 root/setgid
printf 'ping' >root/usr/ping; chmod 755 root/usr/ping
setfattr -n security.capability -v "$CAPABILITY" root/usr/ping
setfattr -n user.note -v hello root/etc/one
setfattr -n trusted.dir -v t root/empty
find root -exec touch -h -d @1000000000 {} +
tar --xattrs --xattrs-include='*' --numeric-owner --format=pax -cf root.tar -C root .
MAKE
ODD=$kOddName LONG=$kLongName CAPABILITY=$kCapability fakeroot sh make-root
rm -rf root

# --- What must be found in each of them again, whatever it came from ---
# Each format as lines "MODE UID/GID PATH" and the rest by its own tool.
list_of() { # IMAGE FORMAT
  case $2 in
    erofs) rm -rf x && fakeroot sh -c "fsck.erofs --extract=x '$1/rootfs.erofs' >/dev/null && cd x && find . -printf '%M %U/%G %p %l\n'" ;;
    squashfs) rm -rf x && fakeroot sh -c "unsquashfs -q -n -d x '$1/rootfs.squashfs' >/dev/null && cd x && find . -printf '%M %U/%G %p %l\n'" ;;
    ext4) rm -rf x && mkdir x && fakeroot sh -c "debugfs -R 'rdump / x' '$1/rootfs.ext4' >/dev/null 2>&1; cd x && find . -printf '%M %U/%G %p %l\n'" ;;
    initramfs) rm -rf x && mkdir x && fakeroot sh -c "cd x && cpio -idm --quiet <'$1/initrd.img' && find . -printf '%M %U/%G %p %l\n'" ;;
  esac
}
check_tree() { # IMAGE FORMAT
  local list line
  list=$(list_of "$@")
  for line in '-rwsr-xr-x 0/0 ./usr/bin-file ' '-rw-r----- 1000/2000 ./etc/one ' '-rw-r----- 1000/2000 ./var/lib/two ' \
    'drwxrwxrwt 0/0 ./tmp ' 'drwxr-s--- 0/42 ./setgid ' 'drwxr-xr-x 0/0 ./empty ' 'lrwxrwxrwx 0/0 ./sbin usr/sbin' \
    '-rwxr-xr-x 0/0 ./usr/sbin/berth-init ' 'lrwxrwxrwx 0/0 ./usr/sbin/init berth-init' '-rwxr-xr-x 0/0 ./usr/sbin/berth-agent '; do
    # rdump leaves these bits out; they are asked for below.
    if [[ $2 == ext4 ]]; then line=${line/rws/rwx} line=${line/rwt/rwx} line=${line/r-s/r-x}; fi
    grep -qxF -e "$line" <<<"$list" || fail "$1: no line \"$line\" in $list"
  done
  expect_equal "$1: content" "$(cat x/var/lib/two)" shared
  expect_equal "$1: odd name" "$(cat "x/$kOddName")" odd
  expect_equal "$1: name of 254 bytes" "$(cat "x/$kLongName")" long
  expect_equal "$1: sparse file" "$(sum x/sparse)" "$( (head -c 5M /dev/zero; printf end) | sha256sum | cut -d' ' -f1)"
  # debugfs makes no devices where it is not root, and gives links an owner of its own; it is asked in other words.
  if [[ $2 == ext4 ]]; then
    local stat
    for line in '/usr/bin-file 04755' '/tmp 01777' '/setgid 02750'; do
      stat=$(debugfs -R "stat ${line% *}" "$1/rootfs.ext4" 2>/dev/null)
      [[ $stat == *Mode:*"${line#* }"* ]] || fail "$1: mode of ${line% *}: $stat"
    done
    stat=$(debugfs -R 'stat /dev/null' "$1/rootfs.ext4" 2>/dev/null)
    [[ $stat == *'character special'*0666*'01:03'* ]] || fail "$1: /dev/null is $stat"
    [[ $(debugfs -R 'stat /var/fifo' "$1/rootfs.ext4" 2>/dev/null) == *FIFO*0600* ]] || fail "$1: no fifo"
    [[ $(debugfs -R 'stat /etc/one' "$1/rootfs.ext4" 2>/dev/null) == *'Links: 2'* ]] || fail "$1: no hard link"
    [[ $(debugfs -R 'stat /var/link' "$1/rootfs.ext4" 2>/dev/null) == *'User:     7   Group:     8'* ]] || fail "$1: owner of a link"
    [[ $(debugfs -R 'stat /sparse' "$1/rootfs.ext4" 2>/dev/null) =~ Blockcount:\ ([0-9]+) ]] && ((BASH_REMATCH[1] < 100)) || fail "$1: no holes"
  else
    grep -qxF -e 'lrwxrwxrwx 7/8 ./var/link ../etc/one' <<<"$list" || fail "$1: owner of a link in $list"
    [[ $2 != initramfs ]] || cmp x/init guest/berth-init || fail "$1: /init is not berth-init"
    [[ $2 != initramfs ]] || expect_equal "$1: root" "$(cpio -tv --quiet <"$1/initrd.img" | awk '$NF == "." { print $1 }')" drwxr-xr-x
    grep -qE '^prw------- 0/0 ./var/fifo ' <<<"$list" || fail "$1: no fifo"
    grep -qE '^crw-rw-rw- 0/0 ./dev/null ' <<<"$list" || fail "$1: no device"
  fi
}
check_xattrs() { # IMAGE FORMAT: of usr/ping, etc/one and empty
  local text
  case $2 in
    squashfs)
      text=$(fakeroot sh -c "rm -rf y; unsquashfs -q -n -d y '$1/rootfs.squashfs' >/dev/null; cd y; getfattr -h -d -m - -e hex usr/ping etc/one empty var/lib/two")
      ;;
    ext4)
      text=
      for file in usr/ping etc/one empty; do text+=$(debugfs -R "ea_list /$file" "$1/rootfs.ext4" 2>/dev/null); done
      [[ $text == *'security.capability (20) = 01 00 00 02 00 20'*'user.note (5) = "hello"'*'trusted.dir (1) = "t"'* ]] ||
        fail "$1: extended attributes are $text"
      return 0
      ;;
    erofs)
      # Neither dump.erofs nor fsck.erofs 1.5 shows names and values, but they stand in the file in the clear.
      for file in usr/ping etc/one empty; do
        [[ $(dump.erofs --path="/$file" "$1/rootfs.erofs") =~ Xattr\ size:\ [1-9] ]] || fail "$1: no extended attribute of $file"
      done
      grep -qaF notehello "$1/rootfs.erofs" && grep -qaF dirt "$1/rootfs.erofs" && grep -qaF capability "$1/rootfs.erofs" ||
        fail "$1: extended attributes are not in the image"
      return 0
      ;;
    initramfs)
      grep -qF 'no extended attributes; left out of usr/ping: security.capability' "$1/manifest.json" ||
        fail "$1: nothing said of a lost capability"
      return 0
      ;;
  esac
  [[ $text == *security.capability="$kCapability"* && $text == *user.note=0x68656c6c6f* && $text == *trusted.dir=0x74* ]] ||
    fail "$1: extended attributes are $text"
}

# --- OCI layouts, made by umoci: the same tree in three layers, with whiteouts; then as skopeo copies it ---
fakeroot sh -c '
  set -eu
  umoci init --layout layout
  umoci new --image layout:empty
  mkdir lower middle upper
  mkdir lower/gone lower/opaque lower/turns; touch lower/gone/file lower/opaque/old lower/plain-gone; echo a >lower/changes
  tar --numeric-owner -cf lower.tar -C lower gone opaque turns plain-gone changes
  mkdir middle/opaque; touch middle/.wh.gone middle/.wh.plain-gone middle/opaque/.wh..wh..opq middle/opaque/new
  echo file >middle/turns; mkdir middle/changes; echo b >middle/changes/in
  tar --numeric-owner -cf middle.tar -C middle .wh.gone .wh.plain-gone opaque turns changes
  mkdir upper/added; echo c >upper/added/file
  tar --numeric-owner -cf upper.tar -C upper added
  umoci raw add-layer --image layout:empty --tag full root.tar
  for layer in lower middle upper; do umoci raw add-layer --image layout:full $layer.tar; done
  umoci config --image layout:full --config.entrypoint /usr/bin-file --config.cmd "a \"b\"" --config.env A=1 --config.env "B=x y" \
    --config.user 1000:2000 --config.workingdir /srv/app --config.stopsignal SIGINT --config.exposedports 80/tcp
' >oci.log 2>&1 || { cat oci.log; fail "umoci"; }
skopeo copy -q oci:layout:full oci:copied:v1 || fail "skopeo"
rm -rf lower middle upper

# --- Each source in each format ---
mkdir dir && tar --no-same-owner -xpf root.tar -C dir --exclude='./dev/*'
for format in "${formats[@]}"; do
  say "$format"
  "$berth" image build -q --from root.tar --format "$format" "${with_kernel[@]}" -o "tar-$format"
  check_tree "$work/tar-$format" "$format"
  check_xattrs "$work/tar-$format" "$format"
  "$berth" image build -q --from oci:copied:v1 --format "$format" "${with_kernel[@]}" -o "oci-$format"
  check_tree "$work/oci-$format" "$format"
  check_xattrs "$work/oci-$format" "$format"
  for gone in gone plain-gone opaque/old .wh.gone opaque/.wh..wh..opq; do
    [[ ! -e x/$gone ]] || fail "oci-$format: $gone is there"
  done
  expect_equal "oci-$format: layers" "$(cat x/turns x/changes/in x/added/file | tr '\n' ' ')$(ls x/opaque)" "file b c new"
  grep -qxF 'args = ["a \"b\""]' x/etc/berth/init.toml && grep -qxF 'cwd = "/srv/app"' x/etc/berth/init.toml ||
    fail "oci-$format: init.toml is $(cat x/etc/berth/init.toml)"
  [[ -d x/srv/app ]] || fail "oci-$format: no WORKDIR"
  # A directory: its owners and devices are what this user could make.
  "$berth" image build -q --from dir --all-root --format "$format" "${with_kernel[@]}" -o "dir-$format"
  list=$(list_of "$work/dir-$format" "$format")
  grep -qxF -e '-rw-r----- 0/0 ./etc/one ' <<<"$list" || fail "dir-$format: $list"
  expect_equal "dir-$format: odd name" "$(cat "x/$kOddName")" odd
  for source in tar oci dir; do
    "$berth" image verify -q "$source-$format" || fail "$source-$format does not verify"
  done
done

say "what an initramfs has of the modules"
mkdir empty
content_of() { cpio --quiet -i --to-stdout "$2" <"$1/initrd.img"; }
in_kernel=lib/modules/$release/kernel/a
expect_equal "module without its signature" "$(content_of tar-erofs "$in_kernel/virtio_mmio.ko")" "module virtio_mmio"
expect_equal "compressed module" "$(content_of tar-erofs "$in_kernel/erofs.ko")" "module erofs"
expect_equal "modules.dep" "$(content_of tar-erofs "lib/modules/$release/modules.dep" | grep -c '^kernel/a/[a-z_]*\.ko:')" 3
"$berth" image build -q --from empty --keep-signatures --without erofs "${with_kernel[@]}" -o signed
expect_equal "kept signature" "$(content_of signed "$in_kernel/virtio_mmio.ko" | sum)" "$(sum "$modules/kernel/a/virtio_mmio.ko")"
expect_equal "module left out" "$(cpio --quiet -t <signed/initrd.img | grep -c '\.ko$')" 2
printf 'virtio_mmio\nvirtio_mimo\n' >modules.load
"$berth" image build --from empty --without erfos --modules-load modules.load "${with_kernel[@]}" -o signed 2>modules.log
grep -qF -- '--without: the kernel has no module erfos' modules.log && grep -qF -- '--modules-load: the kernel has no module virtio_mimo' modules.log ||
  fail "unknown modules: $(cat modules.log)"
expect_error "mean nothing without --modules" "$berth" image build --from empty --kernel kernel/vmlinuz --without erofs -o never

say "the demo's wrapper: made again where an input changed, and then only"
demo=("$here/demo/build" --berth "$berth" --init guest/berth-init --agent agent --kernel kernel --add extra:opt/tool demo)
printf '%s\n' "$release" >kernel/release && : >kernel/config && echo one >extra && cp guest/berth-agent agent
"${demo[@]}" 2>demo.log || fail "demo: $(cat demo.log)"
"$berth" image ls demo | grep -q '/opt/tool$' || fail "demo: $("$berth" image ls demo)"
before=$(stat -c %i demo)
"${demo[@]}" 2>demo.log || fail "demo: $(cat demo.log)"
expect_equal "the demo made again without need" "$(stat -c %i demo)" "$before"
for change in 'echo two >extra' 'printf more >>agent' 'touch option && demo+=(-- --config option)' 'echo \# >option'; do
  eval "$change"
  "${demo[@]}" 2>demo.log || fail "demo: $(cat demo.log)"
  [[ $(stat -c %i demo) != "$before" ]] || fail "the demo is old after: $change"
  before=$(stat -c %i demo)
done
echo mistake >option
expect_error "mistake is no key" "${demo[@]}"
expect_equal "the demo after a build that failed" "$(stat -c %i demo)" "$before"

say "an empty --config takes the place of the source's own"
mkdir -p own/etc/berth && echo mistake >own/etc/berth/init.toml && : >none.toml
"$berth" image build -q --from own --config none.toml "${with_kernel[@]}" --format initramfs -o emptied
expect_equal "init.toml" "$(content_of emptied etc/berth/init.toml)" ""

say "what it says of an image"
"$berth" image inspect oci-erofs | grep -q "^kernel       $release, 3 modules" || fail "inspect: $("$berth" image inspect oci-erofs)"
"$berth" image inspect --json oci-erofs | grep -q '"berth_image": 1' || fail "inspect --json"
"$berth" image ls tar-erofs | grep -qP '^-rwsr-xr-x\t0\t0\t7\t1\t/usr/bin-file$' || fail "ls: $("$berth" image ls tar-erofs)"
"$berth" image ls tar-erofs | grep -qF '/odd \x09"\\\x0aname\xff' || fail "ls: odd name"
"$berth" image ls --json tar-erofs >list.json
for line in '{"bytes":7,"gid":0,"mode":"-rwsr-xr-x","mtime":1,"path":"/usr/bin-file","uid":0}' '"device":"1,3",' \
  '"path":"/sbin","target":"usr/sbin"' '"hard_link_to":"/etc/one"'; do
  grep -qF "$line" list.json || fail "ls --json: no $line"
done
cp -a tar-ext4 broken && printf X | dd of=broken/rootfs.ext4 bs=1 seek=5000 conv=notrunc status=none
expect_error "rootfs.ext4: sha256" "$berth" image verify broken
rm -rf broken
cp -a tar-ext4 broken && sed -i 's/"initrd.img": "[0-9a-f]*"/"initrd.img": "'"$(printf '0%.0s' {1..64})"'"/' broken/image.json
expect_error "image.json: its sha256 of initrd.img is not the manifest's" "$berth" image verify broken
rm -rf broken

say "the same bytes, whoever builds, where, when"
for format in "${formats[@]}"; do
  mkdir -p "elsewhere/$format" && chmod 777 elsewhere "elsewhere/$format"
  cp -r kernel "elsewhere/$format/" && cp root.tar "elsewhere/$format/other.tar"
  as_other=()
  if ((EUID == 0)); then as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
  (umask 077 && cd "elsewhere/$format" && TZ=Asia/Tokyo LC_ALL=C.UTF-8 "${as_other[@]+"${as_other[@]}"}" \
    "$berth" image build -q --from other.tar --format "$format" "${with_kernel[@]}" --name "tar-$format" -o image)
  diff -rq "tar-$format" "elsewhere/$format/image" || fail "$format built elsewhere differs"
done
# The same directory, its files made in another order.
mkdir one two
for name in a b c; do echo "$name" >"one/$name"; done
for name in c b a; do echo "$name" >"two/$name"; done
chmod 755 one two && chmod 644 one/* two/*
for tree in one two; do "$berth" image build -q --all-root --from "$tree" --format ext4 --name x -o "of-$tree"; done
diff -rq of-one of-two || fail "the order that files were made in shows"
SOURCE_DATE_EPOCH=86400 "$berth" image build -q --all-root --from one --format ext4 --name x -o later
! cmp -s of-one/rootfs.ext4 later/rootfs.ext4 || fail "SOURCE_DATE_EPOCH is not heeded"
[[ ! -e of-one/image.json && -e of-one/manifest.json ]] || fail "a root file system alone has an image.json"

for format in erofs ext4 squashfs; do
  grep -qE '"(dump\.erofs|mke2fs|mksquashfs)": "(dump\.erofs|mke2fs|mksquashfs version) [0-9]' "tar-$format/manifest.json" ||
    fail "tar-$format: no version of what made it"
done

say "what is refused"
mkdir -p linked/etc/berth && ln -s /opt/init.toml linked/etc/berth/init.toml
expect_error "a link there is not followed: make it a file, or name it with --config" "$berth" image build --from linked -o never
mkdir -m 700 closed
if ((EUID == 0)); then
  expect_error "read it as its owner" setpriv --reuid=65534 --regid=65534 --clear-groups "$berth" image build --from closed -o elsewhere/never
  mkdir of-user && chown 1234 of-user
  "$berth" image build --from of-user -o of-1234 2>of-user.log
  grep -qF 'owned by user 1234: --all-root' of-user.log || fail "owner of /: $(cat of-user.log)"
fi
printf 'mistake = 1\n' >bad.toml
before=$(sum tar-erofs/manifest.json)
expect_error "bad.toml:1:1: mistake is no key" "$berth" image build --from root.tar --config bad.toml -o tar-erofs
expect_equal "image after a build that failed" "$(sum tar-erofs/manifest.json)" "$before"
expect_error "bad.toml" "$berth" image build --from root.tar --config bad.toml -o never
[[ ! -e never ]] || fail "a configuration that does not check left an image"
mkdir precious && touch precious/file
expect_error "did not make it" "$berth" image build --from root.tar -o precious
[[ -f precious/file ]] || fail "a folder that is no image was replaced"
expect_error "neither a bzImage nor an ELF file" "$berth" image build --from root.tar --kernel /etc/passwd -o never
expect_error "command line has" "$berth" image build --from root.tar "${with_kernel[@]}" --cmdline "$(printf 'x%.0s' {1..2000})" -o never
cp -r copied damaged
blob=$(find damaged/blobs/sha256 -type f -size +1k | sort | head -n 1)
printf X | dd of="$blob" bs=1 seek=1000 conv=notrunc status=none
expect_error "has sha256" "$berth" image build --from oci:damaged:v1 -o never
expect_error "there are: v1" "$berth" image build --from oci:copied:v2 -o never
expect_error "BERTH_GUEST_DIR" env BERTH_GUEST_DIR=/nowhere "$berth" image build --from root.tar -o never
mkdir big && touch big/f && tar -cf big.tar --pax-option='SCHILY.xattr.user.big:='"$(printf 'x%.0s' {1..3000})" --format=pax big
expect_error "extended attribute user.big" "$berth" image build --from big.tar -o never

mkdir full && head -c 3M /dev/urandom >full/file
expect_error "2 MiB may be too small for what is in it: --size" "$berth" image build --from full --format ext4 --size 2 -o never
expect_error "no size of a file system" "$berth" image build --from root.tar --format ext4 --size lots -o never

expect_error "made of itself" "$berth" image build --from one -o one/never
mkdir names && touch "names/n$kLongName"
expect_error "names of at most 254 bytes" "$berth" image build --from names -o never
"$berth" image build -q --from names --format ext4 -o named && "$berth" image ls named | grep -qF "n$kLongName" || fail "name of 255 bytes"

say "an interrupted build"
# A source that does not end: the build is stopped where it certainly is at work.
mkdir endless && mkfifo endless-init
cp guest/berth-agent endless/ && cat >endless/berth-init <<'INIT'
#!/bin/sh
echo started >"$STARTED"
exec sleep 600
INIT
chmod 755 endless/berth-init
sed -i "s|\$STARTED|$work/endless-init|" endless/berth-init
printf 'hostname = "x"\n' >good.toml
for signal in INT TERM KILL; do
  BERTH_GUEST_DIR=$work/endless "$berth" image build -q --from root.tar --config good.toml -o stopped 2>/dev/null &
  children=($!)
  read -r _ <endless-init
  kill "-$signal" "${children[0]}"
  code=0
  wait "${children[0]}" || code=$?
  children=()
  case $signal in INT) wanted=130 ;; TERM) wanted=143 ;; KILL) wanted=137 ;; esac
  expect_equal "exit code at SIG$signal" "$code" "$wanted"
  [[ ! -e stopped ]] || fail "SIG$signal left an image"
  left=$(find . -maxdepth 1 -name '.stopped.berth-build.*' | wc -l)
  [[ $signal == KILL ]] && wanted=1 || wanted=0
  expect_equal "work folders after SIG$signal" "$left" "$wanted"
done
"$berth" image build -q --from root.tar -o stopped
expect_equal "work folders after the next build" "$(find . -maxdepth 1 -name '.*berth-build*' | wc -l)" 0
echo "all passed"
