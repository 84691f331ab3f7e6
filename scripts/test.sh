#!/bin/sh
# Runs the tests but those of test/structure, which check.sh runs, two files at once. `unit` tests start no other process;
# `service` tests start daemons, commands and real systems; `kernel` tests get a network namespace for each file; `product`
# tests run the whole on labs. `long`: what takes longer than a check before each change may, one file after the other.
# At the end it names the slowest files, and those that needed a second try.
# usage: scripts/test.sh [unit|service|kernel|product|long]...
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
export NODE_OPTIONS="--disable-warning=ExperimentalWarning"
# The tests start more than a thousand processes of the same files. Each process finds the code that
# an earlier one has compiled.
export NODE_COMPILE_CACHE="$PWD/node_modules/.cache/compiled"
[ $# -gt 0 ] || set -- unit service kernel product
status=0
TEST_RECORD=$(mktemp)
export TEST_RECORD
trap 'rm -f "$TEST_RECORD"' EXIT

# Imports of test files, direct or through a helper, that start other processes.
starts_processes="node:child_process|@mirrorplane/lab'|/(harness|namespace|run|cluster|controller|probe|[a-z-]+-host|test-controller)[.]ts'"
# $1: `-l` gives the files that import it, `-L` those that do not.
small_tests() {
  find packages/*/test -name '*.test.ts' ! -name '*.netns.test.ts' ! -name qemu.test.ts | sort |
    xargs grep "$1" -E "$starts_processes"
}

for part in "$@"; do
  printf '\n== %s tests\n' "$part"
  case $part in
    unit) files=$(small_tests -L) ;;
    service) files=$(small_tests -l) ;;
    kernel) files=$(find packages/*/test -name '*.netns.test.ts' | sort) ;;
    product) files=$(find test -name '*.test.ts' ! -path 'test/long/*' ! -path 'test/packages/*' ! -path 'test/structure/*' | sort) ;;
    long) files=$(find test/long test/packages packages/lab/test/qemu.test.ts -name '*.test.ts' | sort) ;;
    *) echo "unknown part $part: use unit, service, kernel, product, long" >&2; exit 2 ;;
  esac
  [ -n "$files" ] || continue
  case $part in
    unit | service) printf '%s\n' "$files" | xargs -P 2 -n 1 scripts/test-file.sh || status=1 ;;
    kernel)
      printf '%s\n' "$files" | xargs -P 2 -n 1 unshare -n scripts/test-file.sh || status=1
      # Again with the hooks of kernels without tcx. Tests of the programs alone do not depend on
      # hooks.
      if [ "${MIRRORPLANE_HOOK:-auto}" = auto ]; then
        printf '\n== kernel tests over clsact\n'
        echo 'SKIPPED preflight.netns.test.ts: the checks of a host ask for both kinds of hook in one run'
        printf '%s\n' "$files" | grep '/agent/' | grep -v '/preflight[.]' | MIRRORPLANE_HOOK=clsact xargs -P 2 -n 1 unshare -n scripts/test-file.sh || status=1
      fi
      ;;
    long) printf '%s\n' "$files" | LIMIT=5400 xargs -n 1 scripts/test-file.sh || status=1 ;;
    product)
      # These run alone. One captures more than two CPUs can write while other tests run. The other
      # emulates a machine with both CPUs.
      alone='/chaos|/kernels/load'
      printf '%s\n' "$files" | grep -E "$alone" | xargs -n 1 scripts/test-file.sh || status=1
      # Most of their time the others wait; two at once take half of it. The longest first, so that none of them ends alone.
      longest='/(scale|exact-firewall|uninstall|traffic)[.]'
      others=$(printf '%s\n' "$files" | grep -vE "$alone")
      { printf '%s\n' "$others" | grep -E "$longest"; printf '%s\n' "$others" | grep -vE "$longest"; } |
        xargs -P 2 -n 1 scripts/test-file.sh || status=1
      ;;
  esac
done

printf '\n== the slowest files (seconds, file)\n'
sort -rn "$TEST_RECORD" | head -10
if grep -q RETRIED "$TEST_RECORD"; then
  printf '\n== passed or failed at a second try; docs/flakes.md says which are known, and why\n'
  grep RETRIED "$TEST_RECORD"
fi
exit $status
