#!/usr/bin/env bash
# The step of the GitHub Action (`action.yml`), whose inputs are variables here.
set -euo pipefail

manifest="$(dirname "${BASH_SOURCE[0]}")/../../Cargo.toml"
version="${VERSION:-$(sed -n 's/^version = "\(.*\)"$/\1/p' "$manifest" | head -n 1)}"

arguments=(warm "$SITE" "--export${OUT:+=$OUT}" --cache-dir "$CACHE")
if [ -n "${CODINGS:-}" ]; then
    arguments+=(--codings "$CODINGS")
fi
if [ "${BEST:-false}" = true ]; then
    arguments+=(--best)
fi
exec npx --yes "cachecompress@$version" "${arguments[@]}"
