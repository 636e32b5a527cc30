#!/usr/bin/env bash
# Installs what the interop tests need: Debian's packages of the peers, a Python virtual environment
# with the packages of requirements.txt, the Node packages of node/package.json, the Autobahn test
# suite, a kernel for virtual machines, and our peer on usrsctp; these in the target directory. Does
# nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "interop/install.sh: $*" >&2; }

# Registries fail now and then; the third failure counts.
retry() {
    local attempt
    for attempt in 1 2 3; do
        timeout -k 10 300 "$@" </dev/null && return 0
        say "attempt $attempt of 3 failed: $*"
    done
    return 1
}

packages=()
# need PACKAGE PROGRAM: asks for the package unless the program is there.
need() {
    command -v "$2" >/dev/null || packages+=("$1")
}
need coturn turnutils_uclient
need openssl openssl
need gnutls-bin gnutls-cli
need haproxy haproxy
need nginx-light nginx
need curl curl
need socat socat
need chromium chromium
need systemd systemd-socket-activate
need iproute2 ip
need nftables nft
need qemu-system-x86 qemu-system-x86_64
need busybox-static busybox
need cpio cpio
need lksctp-tools sctp_test
need kamailio kamailio
need sip-tester sipp
need nodejs node
need npm npm
need sipsak sipsak
need baresip-core baresip
need dnsmasq-base dnsmasq
need stunnel4 stunnel
need gcc gcc
need binutils strip
need pkg-config pkg-config
# gcc only recommends the headers of the C library.
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
[ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev)
[ -e /usr/include/usrsctp.h ] || packages+=(libusrsctp-dev)
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || packages+=(libnginx-mod-stream)
for module in outbound tls websocket; do
    # The directory of libraries has the name of the machine's architecture.
    compgen -G "/usr/lib/*/kamailio/modules/$module.so" >/dev/null ||
        packages+=("kamailio-$module-modules")
done
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)

if [ ${#packages[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        say "not a Debian system: install ${packages[*]} by its own means"
        exit 1
    fi
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    say "installing ${packages[*]}"
    retry "${as_root[@]}" apt-get update -qq
    retry "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

venv="${CARGO_TARGET_DIR:-target}/interop-venv"
requirements=interop/requirements.txt
# The copy beside the packages tells which requirements they were installed for.
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    say "making $venv"
    python3 -m venv --clear "$venv"
    retry "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
        --require-hashes -r "$requirements"
    cp "$requirements" "$venv/requirements.txt"
fi

node="${CARGO_TARGET_DIR:-target}/interop-node"
# npm writes the second file last: it tells that all is there.
if ! cmp -s interop/node/package-lock.json "$node/package-lock.json" ||
    [ ! -e "$node/node_modules/.package-lock.json" ]; then
    say "making $node"
    mkdir -p "$node"
    cp interop/node/package.json interop/node/package-lock.json "$node"
    retry npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel=error
fi

interop/autobahn.sh
retry interop/vm/fetch.sh

peer="${CARGO_TARGET_DIR:-target}/interop-usrsctp/peer"
if [ ! "$peer" -nt interop/usrsctp/peer.c ]; then
    say "building $peer"
    mkdir -p "${peer%/*}"
    gcc -O2 -Wall -Wextra -o "$peer" interop/usrsctp/peer.c -lusrsctp -lpthread
fi
