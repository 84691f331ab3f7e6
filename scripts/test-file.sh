#!/bin/sh
# Runs one test file, and shows what it says when it is done. A lab shares the CPUs of this machine with whatever else
# runs on it: a file that fails is given a second chance, and says so; with TRIES=1 it is not.
# usage: [TRIES=1] scripts/test-file.sh FILE
set -u
cd "$(dirname "$0")/.."
. scripts/node.sh
said=$(mktemp)
trap 'rm -f "$said"' EXIT
# A kernel test gets a network namespace for each try: what the first one has left must not meet the second.
isolate=""
case $1 in *.netns.test.ts) isolate="unshare -n" ;; esac
run() {
  $isolate "$NODE" --test --test-timeout=300000 --test-reporter="${TEST_REPORTER:-spec}" "$1" >"$said" 2>&1
  status=$?
  cat "$said"
  return $status
}
# Notes the seconds that the file took, for who asks for them in TEST_RECORD.
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
