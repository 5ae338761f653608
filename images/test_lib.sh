# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the image builders share; sourced by them.

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}
expect_equal() { # WHAT A B
  [[ $2 == "$3" ]] || fail "$1: \"$2\" is not \"$3\""
}
expect_error() { # PATTERN COMMAND...
  local pattern=$1 text
  shift
  if text=$("$@" 2>&1); then fail "$* succeeded"; fi
  [[ $text == *"$pattern"* ]] || fail "$*: \"$text\" does not say \"$pattern\""
}
sum() { sha256sum "$@" | cut -d' ' -f1; }
