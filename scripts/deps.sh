#!/bin/sh
# Installs what is missing: Debian packages through apt, npm packages through npm ci. A second run takes a moment.
# usage: scripts/deps.sh [run|test]   run: what a host needs; test: also what the lab, the tests and the bench use
set -eu
cd "$(dirname "$0")/.."
level=${1:-test}

say() { printf '[deps] %s\n' "$*"; }
fail() { printf '[deps] %s\n' "$*" >&2; exit 1; }

# What to look for, and the Debian package that brings it.
run_needs='
/usr/bin/clang clang
/usr/include/bpf/bpf_helpers.h libbpf-dev
/sbin/ip iproute2
/usr/bin/nsenter util-linux
npm npm
'
test_needs='
/usr/bin/clang-format clang-format
/usr/sbin/bpftool bpftool
/usr/bin/tcpdump tcpdump
/usr/bin/tshark tshark
/usr/bin/sharkd wireshark-common
/usr/bin/bwrap bubblewrap
/usr/bin/iperf3 iperf3
/usr/bin/ping iputils-ping
/usr/sbin/nft nftables
/usr/sbin/ovs-vswitchd openvswitch-switch
/usr/lib/python3/dist-packages/scapy python3-scapy
/usr/sbin/trafgen netsniff-ng
/usr/sbin/ethtool ethtool
/usr/bin/pgrep procps
/usr/sbin/iptables iptables
/usr/bin/openssl openssl
/usr/bin/ssh-keygen openssh-client
/usr/bin/qemu-system-x86_64 qemu-system-x86
/usr/bin/qemu-system-aarch64 qemu-system-arm
/usr/include/stdio.h libc6-dev
/usr/sbin/libvirtd libvirt-daemon
/usr/bin/virsh libvirt-clients
/usr/include/pcap.h libpcap-dev
/usr/bin/python3 python3-minimal
/usr/bin/strace strace
/usr/bin/faketime faketime
/usr/bin/mmdebstrap mmdebstrap
/usr/bin/rpmbuild rpm
/usr/bin/zsh zsh
/usr/bin/fish fish
/usr/sbin/modprobe kmod
/usr/bin/xz xz-utils
/usr/bin/podman podman
/bin/busybox busybox-static
/usr/bin/lxd lxd
/usr/bin/containerd containerd
/usr/bin/chromium chromium
/usr/sbin/slapd slapd
/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
'
[ "$level" = run ] && needs=$run_needs || needs="$run_needs$test_needs"

missing=$(printf '%s' "$needs" | while read -r path package; do
  [ -n "$path" ] || continue
  [ -e "$path" ] || command -v "$(basename "$path")" >/dev/null 2>&1 || printf '%s ' "$package"
done)

# Before packages are installed: $1 names them.
apt_ready() {
  command -v apt-get >/dev/null || fail "missing: $1. This is not Debian or Ubuntu: install them by hand and run this again"
  [ "$(id -u)" = 0 ] || fail "missing Debian packages: $1. Install them as root: apt-get install $1"
  say "installing Debian packages: $1"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || fail "apt-get update failed; check the package sources"
}

if [ -n "$missing" ]; then
  apt_ready "$missing"
  # Tests start slapd with their own configuration. Without one, the package starts no directory.
  case $missing in *slapd*) echo 'slapd slapd/no_configuration boolean true' | debconf-set-selections ;; esac
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/tmp/mirrorplane-apt.$$ 2>&1 || {
    tail -n 20 "/tmp/mirrorplane-apt.$$" >&2
    fail "apt-get install failed for: $missing"
  }
  rm -f "/tmp/mirrorplane-apt.$$"
fi

# Puts files of package $1 into /usr/local/bin, without the daemon that would begin to run.
take_files() {
  package=$1; shift
  command -v "$(basename "$1")" >/dev/null 2>&1 && return
  apt_ready "$package"
  folder=$(mktemp -d)
  (cd "$folder" && apt-get -o APT::Sandbox::User=root download -qq "$package") >&2 || fail "apt-get download failed for: $package"
  for path in "$@"; do
    name=$(basename "$path")
    dpkg-deb --fsys-tarfile "$folder/$package"_*.deb | tar -xO ".$path" >"$folder/$name"
    install -m 755 "$folder/$name" "/usr/local/bin/$name"
  done
  rm -r "$folder"
}

if [ "$level" = test ]; then
  take_files prometheus /usr/bin/promtool
  take_files etcd-server /usr/bin/etcd
  take_files etcd-client /usr/bin/etcdctl
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages, Node.js 24 among them"
  npm ci --prefer-offline --no-audit --no-fund --loglevel=error || fail "npm ci failed; see its message above"
  touch node_modules/.package-lock.json
fi
# shellcheck source=scripts/node.sh
. scripts/node.sh
say "ready: Node.js $("$NODE" --version), $(/usr/bin/clang --version | head -n 1)"
