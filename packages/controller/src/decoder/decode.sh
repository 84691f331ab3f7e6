#!/bin/sh
# Runs Wireshark's decoders on packets of strangers. It runs inside a sandbox: bubblewrap, or the unit
# mirrorplane-decoder@.service. Standard input is a line with the job, and what the job needs:
#   rows      a line with a display filter, which may be empty; packets as pcapng
#   packet N  a pcapng file of N bytes; requests for sharkd
#   filter    requests for sharkd
# Standard output begins with "ready", or with "absent" and the program that is not installed.
set -u
umask 077
# No profile, no plugins. Lua scripts are plugins.
export HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent WIRESHARK_PLUGIN_DIR=/nonexistent
export PATH=/usr/bin:/bin LC_ALL=C.UTF-8 TMPDIR=/tmp
# Kibibytes of memory of its own. A decoder needs 110 MB of them before its first packet.
ulimit -d 262144
ulimit -c 0

needs() { command -v "$1" >/dev/null 2>&1 || { echo "absent $1"; exit 0; }; }

IFS= read -r job
case $job in
rows)
  needs tshark
  IFS= read -r filter
  echo ready
  ulimit -t 120
  # tshark does not read a socket. When it has ended, the rest of this process group ends too.
  cat | {
    # Nothing is analysed that needs all packets of one place in order: a look sees a packet at
    # several places, and the same packet seen twice would count as sent twice.
    tshark -l -n -r - -o tcp.analyze_sequence_numbers:FALSE -o tcp.desegment_tcp_streams:FALSE \
      -o ip.defragment:FALSE -o ipv6.defragment:FALSE -Y "$filter" -T fields -E separator=/t -E occurrence=f \
      -e frame.interface_description -e frame.number -e frame.interface_id \
      -e _ws.col.Source -e _ws.col.Destination -e _ws.col.Protocol -e _ws.col.Info 2>/dev/null
    kill -KILL 0
  }
  ;;
packet\ *)
  needs sharkd
  head -c "${job#packet }" >/tmp/packets.pcapng
  echo ready
  ulimit -t 10
  exec sharkd - 2>/dev/null
  ;;
filter)
  needs sharkd
  echo ready
  ulimit -t 10
  exec sharkd - 2>/dev/null
  ;;
*)
  echo "unknown job"
  ;;
esac
