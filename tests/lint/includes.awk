# SPDX-License-Identifier: Apache-2.0
#
# Checks the #include lines of the files named after the first, which is include_rules.txt, against it.

FNR == NR {
  if ($0 ~ /^#/ || $0 !~ /:/) next
  folder = $1
  sub(/:$/, "", folder)
  known[folder] = 1
  denying = 0
  for (i = 2; i <= NF; i++) {
    if ($i == "!") denying = 1
    else if (denying) denied[folder, $i] = 1
    else allowed[folder] = allowed[folder] " " $i
  }
  next
}

FNR == 1 {
  path = FILENAME
  here = path
  sub(/\/[^\/]*$/, "", here)
  part = path
  sub(/\/.*/, "", part)
  folder = here
  while (!(folder in known) && sub(/\/[^\/]*$/, "", folder)) {}
  rules = folder in known
  wires = path ~ /(^|\/)main\.cc$/ || path ~ /_(test|fuzz)\.cc$/
}

/^[ \t]*#[ \t]*include[ \t]*</ {
  name = $0
  sub(/^[^<]*</, "", name)
  sub(/>.*/, "", name)
  first = name
  sub(/\/.*/, "", first)
  if (!(path ~ /(_test\.cc|_fixture\.h)$/) && ((folder, first) in denied || (folder, name) in denied))
    print path ":" FNR ": " folder " may not include <" name ">"
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
  name = $0
  sub(/^[^"]*"/, "", name)
  sub(/".*/, "", name)
  if (name !~ /\//) {
    print path ":" FNR ": \"" name "\" is not a path from the root of the tree"
    next
  }
  if (!rules) {
    if (part != "toolchains" && part != "images") print path ":" FNR ": include_rules.txt does not name this folder"
    next
  }
  if (index(name, folder "/") == 1) next
  if (wires && index(name, part "/") == 1) next
  count = split(allowed[folder], prefixes, " ")
  for (i = 1; i <= count; i++)
    if (name == prefixes[i] || index(name, prefixes[i] "/") == 1) next
  print path ":" FNR ": " folder " may not include \"" name "\" (tests/lint/include_rules.txt)"
}
