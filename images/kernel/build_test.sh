#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests images/kernel/build with an archive and a compiler made up for the purpose, and the form of images/kernel/config. The kernel
# itself is built and booted by the end-to-end tests. usage: images/kernel/build_test.sh
#
# shellcheck disable=SC2016  # it is for the stubs to expand what they are made of
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

# shellcheck source-path=SCRIPTDIR source=../test_lib.sh
source "$here/../test_lib.sh"

"$here/build" --check || fail "images/kernel/config has mistakes of form"

# --- Mistakes of form, by file and line ---
good='CONFIG_A=y  # a reason'
for bad in 'CONFIG_B=y' 'CONFIG_B=y #' 'CONFIG_B  # a reason' 'B=y  # a reason' 'CONFIG_B=maybe  # a reason'; do
  printf '# SPDX\n\n%s\n%s\n' "$good" "$bad" >fragment
  expect_error "fragment:4: not NAME=VALUE  # reason: $bad" "$here/build" --check --config fragment
done
printf '%s\n%s\n' "$good" "$good" >fragment
expect_error "fragment:2: CONFIG_A is in line 1 already" "$here/build" --check --config fragment

# --- An archive that has one package, and a source whose make counts how often it is called ---
mkdir -p bin archive/usr/src linux-source-6.1
echo source >linux-source-6.1/Makefile
tar -cJf archive/usr/src/linux-source-6.1.tar.xz linux-source-6.1
stub() { # NAME, the script on stdin
  { echo '#!/bin/bash'; cat; } >"bin/$1"
  chmod +x "bin/$1"
}
stub apt-cache <<<'echo "Package: linux-source-6.1"; echo "Version: $(<"$STUB/version")"'
stub apt-get <<<'[[ -f $STUB/version ]] && touch linux-source-6.1.deb'
stub dpkg-deb <<<'tar -c -C "$STUB/archive" ./usr'
stub clang-19 <<<'echo "clang version 19.$(cat "$STUB/compiler" 2>/dev/null)"'
for tool in ld.lld-19 flex bison bc lz4c; do stub "$tool" <<<'exit 9'; done
stub llvm-objcopy-19 <<<'cp -- "$2" "$3"'
stub depmod <<<'touch "$2/lib/modules/$3/modules.dep"'
stub make <<'MAKE'
target=${!#}
while (($#)); do
  case $1 in
    -C) cd -- "$2" && shift ;;
    KCONFIG_ALLCONFIG=*) fragment=${1#*=} ;;
  esac
  shift
done
[[ -f Makefile ]] || exit 3
case $target in
  allnoconfig) grep -v "^$(cat "$STUB/refuse" 2>/dev/null || echo nothing)=" "$fragment" >.config || true ;;
  bzImage)
    echo built >>"$STUB/count"
    [[ ! -f $STUB/broken ]] || { echo "what the compiler said"; exit 2; }
    mkdir -p arch/x86/boot
    echo "$KBUILD_BUILD_TIMESTAMP by $KBUILD_BUILD_USER@$KBUILD_BUILD_HOST #$KBUILD_BUILD_VERSION" >arch/x86/boot/bzImage
    touch vmlinux modules.builtin modules.builtin.modinfo ;;
  kernelrelease) echo 6.1.0-test ;;
esac
MAKE
export STUB=$work PATH=$work/bin:$PATH XDG_CACHE_HOME=$work/cache
unset SOURCE_DATE_EPOCH
echo 6.1.1-1 >version
printf 'CONFIG_A=y  # a reason\nCONFIG_B="b"  # a reason\nCONFIG_C=n  # a reason\n' >fragment
build=("$here/build" --config fragment)
count() { grep -c built count || true; }

# --- A failure leaves nothing ---
echo CONFIG_B >refuse
expect_error "CONFIG_B is n, not \"b\"" "${build[@]}"
rm refuse
touch broken
text=$("${build[@]}" 2>&1) && fail "a build that fails succeeded"
[[ $text == *"what the compiler said"* ]] || fail "the compiler's words are not shown: $text"
rm broken count
[[ -z $(find cache -mindepth 2 -not -name '*lock') ]] || fail "a failed build left $(find cache -mindepth 2)"

# --- Built once, whoever asks at the same time; what a killed build left goes ---
mkdir cache/berth/.guest-kernel.killed
"${build[@]}" >one & one=$!
"${build[@]}" >two & two=$!
wait "$one" "$two"
expect_equal "folders of two builds at once" "$(<one)" "$(<two)"
expect_equal "builds" "$(count)" 1
for file in vmlinuz vmlinux config release lib/modules/6.1.0-test/modules.dep lib/modules/6.1.0-test/modules.builtin; do
  [[ -f $(<one)/$file ]] || fail "no $file in $(<one)"
done
expect_equal "release" "$(<"$(<one)/release")" 6.1.0-test
expect_equal "what could tell two builds apart" "$(<"$(<one)/vmlinuz")" "Thu Jan  1 00:00:01 UTC 1970 by berth@berth #1"

# --- One that is there is taken without apt, until something it is made from changes ---
rm version
expect_equal "folder of a later call" "$("${build[@]}")" "$(<one)"
expect_error "apt does not know" "${build[@]}" --latest
echo 6.1.2-1 >version
expect_equal "folder where the archive has a newer source" "$("${build[@]}")" "$(<one)"
[[ $("${build[@]}" --latest) == *6.1.2-1 ]] || fail "--latest does not take the newer source"
expect_equal "builds" "$(count)" 2
echo 'CONFIG_D=y  # a reason' >>fragment
[[ $("${build[@]}") != "$(<one)" ]] || fail "another fragment has the same folder"
echo .1 >compiler
"${build[@]}" >/dev/null
expect_equal "builds" "$(count)" 4
[[ -z $(find cache -name '.guest-kernel.*') ]] || fail "a temporary folder is left"
echo "all passed"
