/** The files of the guest that do not come from Debian's packages. */
import type { InitramfsEntry } from './initramfs.ts';

/** Modules of the guest's kernel in the order of loading. Built-in ones are skipped. */
export const GUEST_MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
] as const;

/** TCP port where the guest echoes all data. */
export const ECHO_PORT = 7;
/** The guest's only NIC. */
export const GUEST_DEVICE = 'eth0';
/**
 * File with the settings of one guest, as shell assignments: `mtu`, `address`, and `neighbours` as
 * `ADDRESS=MAC`.
 */
export const SETTINGS = 'settings';
/** Longest line that a Linux terminal accepts, bytes. */
export const CONSOLE_LINE_MAX = 4000;

/**
 * The first program of the guest. The kernel answers pings. `probe` answers TCP to the echo port,
 * and numbered packets.
 *
 * The console reads lines, and answers each with one line that starts with `@`. A migration may cut
 * any line. So a command has a length and an id, is started only once even if it is sent again, and
 * keeps its result until `forget`.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo
for module in ${GUEST_MODULES.join(' ')}; do
  [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko
done
. /${SETTINGS}
ip link set lo up
ip link set ${GUEST_DEVICE} mtu $mtu up
probe record ${GUEST_DEVICE}
if [ -n "$address" ]; then
  ip address add $address dev ${GUEST_DEVICE}
  for neighbour in $neighbours; do arp -s \${neighbour%=*} \${neighbour#*=}; done
  probe echo ${ECHO_PORT}
  # The switches of the network learn where the guest is before anyone talks to it.
  arping -q -U -c 1 -I ${GUEST_DEVICE} \${address%/*}
fi
while read -r word id length text; do
  at=/run/$id
  case $word in
    run)
      if [ \${#text} != "$length" ]; then echo "@cut $id"; continue; fi
      if mkdir $at 2>/dev/null; then
        echo "$text" | base64 -d >$at/command
        (setsid sh $at/command </dev/null >$at/out 2>$at/err; echo $? >$at/end; mv $at/end $at/code) &
      fi
      echo "@started $id" ;;
    result)
      if [ -e $at/code ]; then
        out=$(base64 -w0 $at/out) err=$(base64 -w0 $at/err)
        echo "@result $id $(cat $at/code) \${#out} \${#err} -$out -$err"
      elif [ -e $at ]; then echo "@pending $id"
      else echo "@unknown $id"; fi ;;
    forget) rm -r $at; echo "@forgotten $id" ;;
    stop) kill -9 -$(cat $at/pid); echo "@stopped $id" ;;
  esac 2>/dev/null
done
poweroff -f
`;

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;
const CHARACTER_DEVICE = 0o020600;

/** Programs of the guest: busybox from its package, and `probe`. */
export interface GuestPrograms {
  busybox: Buffer;
  probe: Buffer;
}

/**
 * All entries of the guest's first file system. `modules`: by name, only those that are not built
 * in.
 */
export function guestFiles(programs: GuestPrograms, modules: ReadonlyMap<string, Buffer>): InitramfsEntry[] {
  return [
    ...['bin', 'dev', 'modules', 'proc', 'run', 'sys', 'tmp'].map((path) => ({ path, mode: FOLDER })),
    { path: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] },
    { path: 'dev/null', mode: CHARACTER_DEVICE, device: [1, 3] },
    { path: 'dev/ttyS0', mode: CHARACTER_DEVICE, device: [4, 64] },
    ...Object.entries(programs).map(([name, data]) => ({ path: `bin/${name}`, mode: PROGRAM, data })),
    ...[...modules].map(([name, data]) => ({ path: `modules/${name}.ko`, mode: FILE, data })),
    { path: 'init', mode: PROGRAM, data: INIT },
  ];
}

/** The file with the settings of one guest. It is appended to the image of all guests. */
export function settingsFile(settings: Record<string, string>): InitramfsEntry[] {
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  return [{ path: SETTINGS, mode: FILE, data: lines.join('') }];
}
