#!/bin/sh
# What only root can do for the agent, before it starts as a user of its own. That user is the one to whom systemd has
# given the data folder.
set -eu
user=$(stat -c %u /var/lib/mirrorplane-agent)
pins=/sys/fs/bpf/mirrorplane

mountpoint -q /sys/fs/bpf || mount -t bpf -o mode=0700 bpf /sys/fs/bpf
# Some hosts let everybody make folders in there. One that a stranger has made may hold what the stranger likes.
mkdir -m 0700 "$pins" 2>/dev/null || true
if [ -L "$pins" ] || [ ! -d "$pins" ]; then
  echo "$pins is not a directory: remove it" >&2
  exit 1
fi
owner=$(stat -c %u "$pins")
if [ "$owner" != "$user" ]; then
  case $owner in
    0 | "$(id -u mirrorplane-agent)") chown -R -h "$user" "$pins" ;;
    *)
      echo "$pins belongs to user $owner: remove it, and run \"mount -o remount,mode=0700 /sys/fs/bpf\"" >&2
      exit 1
      ;;
  esac
fi
# Attaching programs waits for this setting. Where it cannot be given to the agent, attaching takes longer.
chown "$user" /sys/kernel/rcu_expedited 2>/dev/null || true
