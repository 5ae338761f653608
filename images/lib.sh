# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the image builders share; sourced by them. A builder makes its output beside where it shall stand and renames it
# there, so that an interrupted one leaves what was there before.

# Files of an image carry this time, so that the same inputs give the same bytes.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1}
# Sorting and character classes must not depend on who builds.
export LC_ALL=C
umask 022

# shellcheck disable=SC2034  # for those who source this
images_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
builder=${0##*/}

say() { printf '%s: %s\n' "$builder" "$*" >&2; }
die() {
  printf '%s: error: %s\n' "$builder" "$*" >&2
  exit 1
}

need_tool() { # TOOL PACKAGE
  PATH=$PATH:/usr/sbin:/sbin command -v -- "$1" >/dev/null ||
    die "$1 is missing; install Debian's $2 (toolchains/install-packages run)"
}

need_file() { # FILE WHAT-MAKES-IT
  [[ -f $1 ]] || die "no file $1; $2"
}

find_busybox() {
  command -v busybox || die "busybox is missing; install Debian's busybox-static (toolchains/install-packages run)"
}

# One hash of the content of all files named, in the order given, and of the words after "--".
content_hash() {
  local files=()
  while (($#)) && [[ $1 != -- ]]; do
    files+=("$1")
    shift
  done
  { sha256sum -- "${files[@]}" | cut -d' ' -f1; printf '%s\n' "$@"; } | sha256sum | cut -d' ' -f1
}
