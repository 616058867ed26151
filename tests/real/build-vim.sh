#!/bin/bash
# Builds a vim with DWARF from Debian's source package and prints the path of the binary.
# The result is kept outside the checkout, one folder per package version, so a second call costs nothing.
set -euo pipefail

version=$(apt-cache policy vim | sed -n 's/^ *Candidate: //p')
[ -n "$version" ] || { echo "build-vim: apt knows no package vim (apt-get update?)" >&2; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rstap
dir=$cache/vim-${version//:/_}
if [ -x "$dir/vim" ]; then
    echo "$dir/vim"
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache" "$work"/{lists/partial,cache/archives/partial,source}

# Source entries for the repositories this machine already uses, in a private apt configuration: the system's is
# left as it is, and no right to change it is needed.
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    sort -u >"$work/sources.list"
private_apt() {
    apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@" >&2
}
private_apt update
cd "$work/source"
private_apt source "vim=$version"

cd "$work"/source/vim-*/
./configure --with-features=tiny --disable-gui --without-x --disable-nls --disable-acl --disable-gpm \
    --disable-selinux --with-tlib=tinfo CFLAGS='-O2 -g' >"$work/log" 2>&1 &&
    make -j"$(nproc)" -C src vim >>"$work/log" 2>&1 || { tail -50 "$work/log" >&2; exit 1; }

# Into place by one rename, so that a build cut short leaves nothing that looks finished. DWARF names the sources
# by the folder they were built in, which is gone; the line table is what probes need.
mkdir "$dir.$$"
cp src/vim "$dir.$$/vim"
mv -T "$dir.$$" "$dir"
echo "$dir/vim"
