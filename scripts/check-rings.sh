#!/usr/bin/env bash
# A crate depends only on the rings that ARCHITECTURE.md puts above it, not even through another crate.
set -euo pipefail
cd "$(dirname "$0")/.."

# without WHAT CRATE...: the crates depend on nothing that the expression WHAT matches.
without() {
    local banned=$1 tree found
    shift
    tree=$(cargo tree --quiet --edges normal --prefix none --format '{p}' "${@/#/--package=}")
    if found=$(grep -E "^($banned) " <<<"$tree" | sort -u); then
        echo "$* must not depend on:" >&2
        echo "$found" >&2
        exit 1
    fi
    echo "rings: $* without ${banned//|/, }"
}

# The pure crates have no sockets and no runtime.
without 'tokio|mio|socket2' wharf-policy wharf-stun wharf-turn wharf-dtls wharf-sctp wharf-sip
# The library knows no TURN, and the TURN server no listener: they meet in the daemon, where a
# connection of the one is a byte stream to the other.
without 'wharf-stun|wharf-turn|wharf-turn-server|wharfd' wharf
without 'wharf|wharfd' wharf-turn-server
# The SIP layer needs of TURN only the messages of STUN.
without 'wharf-turn|wharf-turn-server|wharfd' wharf-sip-transport
