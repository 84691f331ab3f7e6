#!/bin/sh
# Runs a TypeScript file with Node.js 24. usage: scripts/run.sh FILE [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
exec "$NODE" --disable-warning=ExperimentalWarning "$@"
