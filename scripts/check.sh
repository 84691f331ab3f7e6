#!/bin/sh
# Format, lint, types: TypeScript by Biome and tsc, C by clang-format.
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
"$NODE" node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
"$NODE" node_modules/typescript/bin/tsc -p .
clang-format --dry-run -Werror packages/bpf/src/*.c packages/bpf/src/*.h
