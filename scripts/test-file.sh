#!/bin/sh
# Runs one test file, and shows its output at the end. Other processes may use the CPUs of this
# machine, so a file that fails runs once more, and the output says so. TRIES=1 prevents the second
# run. A file that has not ended after LIMIT seconds has failed: it and all that it started are
# ended, and the output names the tests that had not ended.
# usage: [TRIES=1] [LIMIT=900] scripts/test-file.sh FILE
set -u
cd "$(dirname "$0")/.."
. scripts/node.sh
said=$(mktemp)
runner=""
trap 'rm -f "$said"' EXIT
# The runner has a process group of its own, so the signal of a terminal does not reach it.
trap '[ -z "$runner" ] || { kill "$runner"; wait "$runner"; } 2>/dev/null; exit 130' INT TERM
# A kernel test gets a new network namespace for each try, so that the second try does not find
# leftovers of the first.
isolate=""
case $1 in *.netns.test.ts) isolate="unshare -n" ;; esac
# The limit of Node.js is one for each test. It does not end a file that has run all its tests, but
# left a timer, or a process that holds its output open.
limit=${LIMIT:-900}
run() {
  timeout --kill-after=10 "$limit" $isolate "$NODE" --test --test-timeout=300000 \
    --test-reporter="${TEST_REPORTER:-spec}" "$1" >"$said" 2>&1 &
  runner=$!
  wait "$runner"
  status=$?
  runner=""
  cat "$said"
  case $status in 124 | 137) printf '\n== NOT ENDED %s: after %s seconds\n' "$1" "$limit" ;; esac
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
