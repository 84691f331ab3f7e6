#!/bin/sh
# Builds the console into packages/console/dist, from where the controller serves it. First the types of the API, which
# the editor and `make check` need too. usage: scripts/console.sh [types]
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
"$NODE" packages/console/scripts/api-types.ts
[ "${1:-all}" = types ] && exit 0
said=$("$NODE" node_modules/vite/bin/vite.js build packages/console --logLevel warn 2>&1) || {
  printf '%s\n' "$said"
  exit 1
}
