#!/usr/bin/env bash
# Runs a program in a virtual machine with Debian's kernel, which has what the kernels of containers lack: SCTP.
#
#   interop/vm/run.sh [-p PROGRAM]... [-t SECONDS] BINARY [ARGUMENT]...
#
# -p puts another program into the machine, -t limits the run (120 s). What it writes comes out, and its exit code
# is this script's; 125 when the machine ended without one. The machine is emulated: it needs no /dev/kvm. A run
# takes about 5 s. interop/install.sh installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=(ip)
limit=120
while getopts p:t: option; do
    case $option in
        p) programs+=("$OPTARG") ;;
        t) limit=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
binary=$(realpath "$1")
shift

kernel="${CARGO_TARGET_DIR:-target}/interop-vm"
[ -f "$kernel/complete" ] || { echo "$kernel is absent: run interop/install.sh" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,modules}
cp /bin/busybox "$root/bin/"
for applet in sh mount insmod poweroff; do ln -s busybox "$root/bin/$applet"; done
cp "$kernel"/modules/*.ko "$root/modules/"
# A program without its symbols, with the libraries it is linked to at their own paths.
put() {
    local library
    strip -o "$root/$2" "$1"
    { ldd "$1" 2>/dev/null || true; } | awk '/=> \// { print $3 } /^\t\// { print $1 }' |
        while read -r library; do
            mkdir -p "$root$(dirname "$library")"
            cp -nL "$library" "$root$library"
        done
}
for program in "${programs[@]}"; do put "$(realpath "$(command -v "$program")")" "bin/$program"; done
put "$binary" program

{
    echo '#!/bin/sh'
    echo 'export PATH=/bin TMPDIR=/tmp HOME=/tmp RUST_BACKTRACE=1'
    echo 'mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp'
    echo 'ip link set lo up'
    echo 'for module in libcrc32c udp_tunnel ip6_udp_tunnel sctp; do insmod /modules/$module.ko; done'
    printf '/program'
    for argument in "$@"; do printf ' %q' "$argument"; done
    printf '\necho "the program ended with $?"\npoweroff -f\n'
} >"$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

# Without an end of its own the machine is ended by the limit, and there is no exit code to find.
timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 512 -smp 2 \
    -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
    -append 'console=ttyS0 quiet loglevel=3 panic=-1' \
    -display none -no-reboot -nodefaults -serial stdio -monitor none -net none </dev/null |
    tr -d '\r' | tee "$work/output" | grep --line-buffered -v '^the program ended with' || true
code=$(sed -n 's/^the program ended with \([0-9]*\)$/\1/p' "$work/output" | tail -1)
exit "${code:-125}"
