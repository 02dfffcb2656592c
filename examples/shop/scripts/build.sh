#!/usr/bin/env bash
# Compiles services into out/SERVICE/: the binary and its shop.conf, which is
# all that an artifact holds. Usage: scripts/build.sh [SERVICE...]
#
# The same commit gives the same bytes, wherever it is checked out: paths are
# mapped to /shop and nothing else of the machine gets in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $# -eq 0 ]]; then
  set -- api web
fi

for service in "$@"; do
  if [[ $service != api && $service != web ]]; then
    echo "build: there is no service \`$service\`; there are api and web" >&2
    exit 2
  fi
  rm -rf "out/$service"
  mkdir -p "out/$service"
  rustc --edition 2024 -O -D warnings -C strip=symbols \
    --crate-name "$service" \
    --remap-path-prefix "$PWD=/shop" \
    -o "out/$service/$service" "services/$service/src/main.rs"
  cp "services/$service/shop.conf" "out/$service/shop.conf"
  echo "built out/$service, version $(<"services/$service/VERSION")"
done
