#!/bin/sh
# Prints where a Chromium is. Where there is none, installs Debian's if this user may.
set -eu
find_one() {
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    if [ -n "$name" ] && path=$(command -v "$name" 2>/dev/null); then echo "$path"; return 0; fi
  done
  return 1
}
find_one && exit 0
as=
[ "$(id -u)" = 0 ] || as="sudo -n"
if command -v apt-get >/dev/null && $as true 2>/dev/null; then
  { $as apt-get update -q && DEBIAN_FRONTEND=noninteractive $as apt-get install -qy --no-install-recommends chromium; } >&2
fi
find_one || { echo "The console's tests need Chromium: install it, or name one by CHROMIUM=/path/to/chrome" >&2; exit 1; }
