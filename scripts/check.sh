#!/bin/sh
# Format, lint, types: TypeScript by Biome and tsc, C by clang-format.
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
case "$(uname -m)" in
  aarch64) biome=node_modules/@biomejs/cli-linux-arm64/biome ;;
  *) biome=node_modules/@biomejs/cli-linux-x64/biome ;;
esac
"$biome" check --error-on-warnings .
"$NODE" node_modules/typescript/bin/tsc -p .
clang-format --dry-run -Werror packages/bpf/src/*.c packages/bpf/src/*.h packages/lab/src/qemu/*.c
