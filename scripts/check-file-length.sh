#!/usr/bin/env bash
# A source file holds one idea: 400 lines at most, tests included.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=400
too_long=0
while IFS= read -r file; do
    [ -f "$file" ] || continue
    lines=$(wc -l <"$file")
    if [ "$lines" -gt "$limit" ]; then
        echo "$file: $lines lines, at most $limit" >&2
        too_long=1
    fi
done < <(git ls-files --cached --others --exclude-standard -- '*.rs' '*.py' '*.sh')
exit "$too_long"
