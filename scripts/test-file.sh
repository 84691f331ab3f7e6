#!/bin/sh
# Runs one test file, and shows its output at the end. Other processes may use the CPUs of this
# machine, so a file that fails runs once more, and the output says so. TRIES=1 prevents the second
# run. usage: [TRIES=1] scripts/test-file.sh FILE
set -u
cd "$(dirname "$0")/.."
. scripts/node.sh
said=$(mktemp)
trap 'rm -f "$said"' EXIT
# A kernel test gets a new network namespace for each try, so that the second try does not find
# leftovers of the first.
isolate=""
case $1 in *.netns.test.ts) isolate="unshare -n" ;; esac
run() {
  $isolate "$NODE" --test --test-timeout=300000 --test-reporter="${TEST_REPORTER:-spec}" "$1" >"$said" 2>&1
  status=$?
  cat "$said"
  return $status
}
# Writes the seconds that the file took into the file TEST_RECORD.
began=$(date +%s)
note() {
  [ -z "${TEST_RECORD:-}" ] || printf '%4d %s%s\n' "$(($(date +%s) - began))" "$1" "${2:-}" >>"$TEST_RECORD"
}
if run "$1"; then
  note "$1"
  exit 0
fi
[ "${TRIES:-2}" -gt 1 ] || exit 1
printf '\n== RETRIED %s: it failed, see above\n' "$1"
run "$1"
status=$?
note "$1" " RETRIED, $([ $status = 0 ] && echo passed || echo failed)"
exit $status
