#!/bin/sh
# Runs a command on another kernel, in QEMU, with this machine's files, which it cannot change: Debian's kernels by
# version, fetched by apt and not installed.
# usage: scripts/kernels.sh run KERNEL [--seconds N] [--memory MIB] -- COMMAND...
#   KERNEL: 6.1, 6.12, newest, 6.12:arm64. Exit status: the command's; 125 where the machine did not run it to its end.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/scripts/node.sh"
exec "$NODE" --disable-warning=ExperimentalWarning "$root/test/kernels/main.ts" "$@"
