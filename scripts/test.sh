#!/bin/sh
# Runs the tests: pure and service tests in parallel, kernel tests in a network namespace of their own, the whole
# product on labs, two files at once. usage: scripts/test.sh [unit|kernel|product]...
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
export NODE_OPTIONS="--disable-warning=ExperimentalWarning"
[ $# -gt 0 ] || set -- unit kernel product
status=0
run=""
jobs=1

# usage: test_files FILE...
test_files() {
  $run "$NODE" --test --test-concurrency="$jobs" --test-timeout=300000 --test-reporter="${TEST_REPORTER:-spec}" "$@"
}

for part in "$@"; do
  printf '\n== %s tests\n' "$part"
  case $part in
    unit) files=$(find packages/*/test -name '*.test.ts' ! -name '*.netns.test.ts' | sort); run="" ; jobs=2 ;;
    kernel) files=$(find packages/*/test -name '*.netns.test.ts' | sort); run="unshare -n"; jobs=1 ;;
    product) files=$(find test -name '*.test.ts' | sort); run=""; jobs=1 ;;
    *) echo "unknown part $part: use unit, kernel, product" >&2; exit 2 ;;
  esac
  [ -n "$files" ] || continue
  if [ "$part" != product ]; then
    # shellcheck disable=SC2086
    test_files $files || status=1
    continue
  fi
  # Most of their time they wait; two at once take half of it.
  printf '%s\n' "$files" | xargs -P 2 -n 1 scripts/test-file.sh || status=1
done
exit $status
