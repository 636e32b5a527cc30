#!/usr/bin/env bash
# Runs each fuzz target for a bounded time: scripts/fuzz.sh [SECONDS, 60 unless given]
# Needs a nightly toolchain; installs cargo-fuzz when it is absent.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}

cargo +nightly --version >/dev/null || {
    echo "no nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
    exit 1
}
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

targets=$(cargo +nightly fuzz list)
[ -n "$targets" ] || { echo "no fuzz target in fuzz/" >&2; exit 1; }
for target in $targets; do
    echo "fuzz: $target, $seconds s"
    # New inputs go to the first folder, so that the committed corpus stays as it is.
    mkdir -p "fuzz/target/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/target/corpus/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048
done
