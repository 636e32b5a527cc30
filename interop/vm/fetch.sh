#!/usr/bin/env bash
# Fetches Debian's kernel for virtual machines and its modules for SCTP (27 MB), once, into the target directory.
# interop/install.sh runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${CARGO_TARGET_DIR:-target}/interop-vm"
[ ! -f "$cache/complete" ] || exit 0
rm -rf "$cache"
mkdir -p "$cache/modules" "$cache/package"
# The package depends on the kernel of the day.
kernel() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }' || true; }
package=$(kernel)
if [ -z "$package" ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    package=$(kernel)
fi
(cd "$cache/package" && apt-get download -q "$package" >/dev/null && dpkg-deb -x ./*.deb .)
cp "$cache"/package/boot/vmlinuz-* "$cache/vmlinuz"
for module in lib/libcrc32c net/ipv4/udp_tunnel net/ipv6/ip6_udp_tunnel net/sctp/sctp; do
    cp "$cache"/package/lib/modules/*/kernel/"$module".ko "$cache/modules/"
done
rm -rf "$cache/package"
touch "$cache/complete"
