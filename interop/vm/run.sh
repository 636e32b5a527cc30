#!/usr/bin/env bash
# Runs a program in a virtual machine with Debian's kernel, which has what the kernels of containers lack: SCTP.
#
#   interop/vm/run.sh [-p PROGRAM]... [-e NAME=VALUE]... [-t SECONDS] BINARY [ARGUMENT]...
#
# -p puts another program into the machine, -e sets a variable there, -t limits the run (120 s). The program's
# output comes out, and its exit code is this script's. The kernel is downloaded once (27 MB) and kept in the
# target directory; a run takes about 5 s, the first one 20 s more. The machine is emulated: it needs no /dev/kvm.
# Needs: qemu-system-x86 busybox-static cpio iproute2 (interop/install.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=(/bin/ip)
variables=()
limit=120
while getopts p:e:t: option; do
    case $option in
        p) programs+=("$(command -v "$OPTARG")") ;;
        e) variables+=("$OPTARG") ;;
        t) limit=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
binary=$(realpath "$1")
shift

cache="${CARGO_TARGET_DIR:-target}/interop-vm"
mkdir -p "$cache"

# The kernel and the modules for SCTP, fetched by one run at a time.
exec 9>"$cache/lock"
flock 9
if [ ! -f "$cache/complete" ]; then
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    (cd "$work" && timeout 300 apt-get download -q "$package" >/dev/null && dpkg-deb -x ./*.deb tree)
    cp "$work"/tree/boot/vmlinuz-* "$cache/vmlinuz"
    mkdir -p "$cache/modules"
    for module in lib/libcrc32c net/ipv4/udp_tunnel net/ipv6/ip6_udp_tunnel net/sctp/sctp; do
        cp "$work"/tree/lib/modules/*/kernel/"$module".ko "$cache/modules/"
    done
    touch "$cache/complete"
    rm -rf "$work"
    trap - EXIT
fi
flock -u 9

root=$(mktemp -d)
trap 'rm -rf "$root" "$root.gz" "$root.out"' EXIT
mkdir -p "$root"/{bin,proc,sys,dev,tmp,modules}
cp /bin/busybox "$root/bin/"
for applet in sh mount insmod poweroff; do ln -s busybox "$root/bin/$applet"; done
cp "$cache"/modules/*.ko "$root/modules/"
# Each program with the libraries it is linked to, at their own paths.
put() {
    local library
    cp -L "$1" "$2"
    { ldd "$1" 2>/dev/null || true; } | awk '/=> \// { print $3 } /^\t\// { print $1 }' |
        while read -r library; do
            mkdir -p "$root$(dirname "$library")"
            cp -nL "$library" "$root$library"
        done
}
for program in "${programs[@]}"; do put "$program" "$root/bin/$(basename "$program")"; done
put "$binary" "$root/program"

{
    echo '#!/bin/sh'
    echo 'export PATH=/bin TMPDIR=/tmp HOME=/tmp RUST_BACKTRACE=1'
    for variable in "${variables[@]}"; do printf 'export %q\n' "$variable"; done
    echo 'mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp'
    echo 'ip link set lo up'
    echo 'for module in libcrc32c udp_tunnel ip6_udp_tunnel sctp; do insmod /modules/$module.ko; done'
    printf '/program'
    for argument in "$@"; do printf ' %q' "$argument"; done
    printf '\necho "the program ended with $?"\npoweroff -f\n'
} >"$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$root.gz"

# Without an end of its own the machine is ended by the limit, and there is no exit code to find.
timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 512 -smp 2 \
    -kernel "$cache/vmlinuz" -initrd "$root.gz" \
    -append 'console=ttyS0 quiet loglevel=3 panic=-1' \
    -display none -no-reboot -nodefaults -serial stdio -monitor none -net none </dev/null |
    tr -d '\r' | tee "$root.out" | grep -v '^the program ended with' || true
code=$(sed -n 's/^the program ended with \([0-9]*\)$/\1/p' "$root.out" | tail -1)
exit "${code:-125}"
