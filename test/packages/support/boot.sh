#!/bin/sh
# boot.sh ROOT CGROUP: starts the systemd of a root file system as process 1 of namespaces of its own, as a container
# would. CGROUP is the name of the cgroup that it gets; the caller removes it.
set -eu
if [ "${3-}" != inside ]; then
  # With cgroups of version 1 there is one tree for each controller, and systemd mounts those that are not there.
  bases=/sys/fs/cgroup
  [ -e /sys/fs/cgroup/cgroup.procs ] || bases=/sys/fs/cgroup/*
  for base in $bases; do
    [ -e "$base/cgroup.procs" ] || continue
    mkdir "$base/$2"
    # One without CPUs takes no process.
    sh -c 'echo $PPID >"$1"' sh "$base/$2/cgroup.procs" 2>/dev/null || rmdir "$base/$2"
  done
  exec unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child --propagation private "$0" "$1" "$2" inside
fi
unified=$([ -e /sys/fs/cgroup/cgroup.procs ] && echo yes || echo no)
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
mkdir dev/pts dev/shm old
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
: >dev/console
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666,mode=620
if [ "$unified" = yes ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
ip link set lo up
hostname fresh
pivot_root . old
umount -l /old
rmdir /old
exec env -i container=mirrorplane-test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb /lib/systemd/systemd
