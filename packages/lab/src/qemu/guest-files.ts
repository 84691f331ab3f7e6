/** What is in the guest besides what comes from Debian's packages. */
import type { InitramfsEntry } from './initramfs.ts';

/** Modules of the guest's kernel in the order in which they are loaded; one that is built in is left out. */
export const GUEST_MODULES = [
  'virtio',
  'virtio_ring',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
] as const;

/** The line that the guest's console shows when its services run. */
export const READY = 'guest ready';
/** TCP port where the guest sends back what it gets. */
export const ECHO_PORT = 7;

/**
 * The first program of the guest. Its address comes on the kernel's command line; pings are answered by the kernel, TCP
 * to the echo port by `cat`. The console is a shell without echo or prompt, so that a program can talk to it.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo
for module in ${GUEST_MODULES.join(' ')}; do
  [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko
done
for word in $(cat /proc/cmdline); do
  case $word in
    lab.address=*) address=\${word#lab.address=} ;;
    lab.mtu=*) mtu=\${word#lab.mtu=} ;;
  esac
done
ip link set lo up
ip link set eth0 mtu $mtu up
[ -z "$address" ] || ip address add $address dev eth0
nc -ll -p ${ECHO_PORT} -e cat </dev/null >/dev/null 2>&1 &
echo '${READY}'
sh
poweroff -f
`;

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;
const CHARACTER_DEVICE = 0o020600;

/** All entries of the guest's first file system. `modules` by name, only those that are not built in. */
export function guestFiles(busybox: Buffer, modules: ReadonlyMap<string, Buffer>): InitramfsEntry[] {
  return [
    ...['bin', 'dev', 'modules', 'proc', 'sys', 'tmp'].map((path) => ({ path, mode: FOLDER })),
    { path: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] },
    { path: 'bin/busybox', mode: PROGRAM, data: busybox },
    ...[...modules].map(([name, data]) => ({ path: `modules/${name}.ko`, mode: FILE, data })),
    { path: 'init', mode: PROGRAM, data: INIT },
  ];
}
