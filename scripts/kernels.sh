#!/bin/sh
# Other kernels, in QEMU, with this machine's files, which they cannot change. Kernels and compilers are Debian's: fetched by
# apt into the cache, and not installed.
# usage: scripts/kernels.sh run KERNEL [--seconds N] [--memory MIB] -- COMMAND...
#          KERNEL: 6.1, 6.12, newest, 6.12:arm64. Exit status: the command's; 125 where it was not run to its end.
#        scripts/kernels.sh matrix [--kernels "6.1 6.12"] [--compilers "default 19"] [--tests "local gso"|all|none] [--tested "6.1"]
#          The object of each compiler into each kernel, then the kernel tests on those of `--tested`.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/scripts/node.sh"
exec "$NODE" --disable-warning=ExperimentalWarning "$root/test/kernels/main.ts" "$@"
