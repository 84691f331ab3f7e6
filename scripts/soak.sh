#!/bin/sh
# Runs the tests of restarts for long: a hundred kills of everything that can be killed, 200 moves of a guest,
# 100,000 refused requests. Then clients work for MINUTES while etcd, controller, network and disk fail.
# usage: scripts/soak.sh [FILE...]   KILLS=100 MOVES=200 MINUTES=10 SEED=number
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
export NODE_OPTIONS="--disable-warning=ExperimentalWarning"
export KILLS="${KILLS:-100}" MOVES="${MOVES:-200}" REFUSED="${REFUSED:-100000}" SOAK=1
[ $# -gt 0 ] || faults=1
[ $# -gt 0 ] || set -- packages/controller/test/kill.test.ts packages/controller/test/store/*.test.ts \
  packages/controller/test/audit-strangers.test.ts \
  packages/agent/test/kernel/kill.netns.test.ts test/long/kill.test.ts test/long/moves.test.ts
status=0
for file in "$@"; do
  printf '\n== %s\n' "$file"
  case $file in
    *.netns.test.ts) run="unshare -n" ;;
    *) run="" ;;
  esac
  $run "$NODE" --test --test-timeout=7200000 --test-reporter="${TEST_REPORTER:-spec}" "$file" || status=1
done
if [ "${faults:-}" = 1 ]; then
  printf '\n== faults with a recorded history\n'
  MINUTES="${MINUTES:-10}" "$NODE" test/faults/main.ts || status=1
fi
exit $status
