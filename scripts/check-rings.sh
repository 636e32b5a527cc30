#!/usr/bin/env bash
# The pure crates have no sockets and no runtime, not even through a dependency.
set -euo pipefail
cd "$(dirname "$0")/.."

pure=(wharf-policy wharf-stun wharf-turn)
banned='tokio|mio|socket2'

tree=$(cargo tree --quiet --edges normal --prefix none --format '{p}' "${pure[@]/#/--package=}")
if found=$(grep -E "^($banned) " <<<"$tree" | sort -u); then
    echo "the pure crates (${pure[*]}) must not depend on:" >&2
    echo "$found" >&2
    exit 1
fi
echo "rings: ${pure[*]} are free of ${banned//|/, }"
