#!/bin/sh
# Format, lint, types: TypeScript by Biome and tsc, C by clang-format, the API by Redocly. Then the
# structure of the tree: imports, headers of files, links of pages.
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
case "$(uname -m)" in
  aarch64) biome=node_modules/@biomejs/cli-linux-arm64/biome ;;
  *) biome=node_modules/@biomejs/cli-linux-x64/biome ;;
esac
"$biome" check --error-on-warnings .
"$NODE" node_modules/typescript/bin/tsc -p .
scripts/console.sh types
for browser in packages/console test/console; do
  "$NODE" node_modules/typescript/bin/tsc -p "$browser"
done
# Redocly prints output even without a finding.
said=$(REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
  "$NODE" node_modules/@redocly/cli/bin/cli.js lint docs/reference/openapi.json --max-problems 20 2>&1) || {
  printf '%s\n' "$said"
  exit 1
}
clang-format --dry-run -Werror packages/bpf/src/*.c packages/bpf/src/*.h packages/lab/src/qemu/*.c
for file in test/structure/*.test.ts; do
  said=$("$NODE" --disable-warning=ExperimentalWarning --test "$file" 2>&1) || {
    printf '%s\n' "$said"
    exit 1
  }
done
