#!/usr/bin/env bash
# Unpacks Debian packages, and what they need that this machine lacks, into a folder of their own.
#
#   deploy/debs.sh FOLDER PACKAGE…
#
# Needs no root and installs nothing: apt's own sources, keys and proxies are used, but its lists and archives are
# kept apart. FOLDER appears whole or not at all.
set -euo pipefail

folder=$(realpath --canonicalize-missing "$1")
shift
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || {
        echo "throughline: $program is missing, so $* cannot be fetched; please install: $*" >&2
        exit 1
    }
done

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
apt=(apt-get -qq -y
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
    -o Debug::NoLocking=true -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none)

"${apt[@]}" update >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"${apt[@]}" install --download-only --no-install-recommends "$@" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

shopt -s nullglob
archives=("$work"/cache/archives/*.deb)
((${#archives[@]})) || { echo "throughline: apt offers nothing for: $* (already installed?)" >&2; exit 1; }
for archive in "${archives[@]}"; do
    dpkg-deb --extract "$archive" "$work/root"
done
rm -rf "$folder"
# Unpacking gives the root folder the mode of the package's root; mktemp made it ours alone.
chmod 755 "$work/root"
mv "$work/root" "$folder"
