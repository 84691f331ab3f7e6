/** Finds the commands that this machine lacks for a lab, and the Debian package of each. */
import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { commandEnv } from './netns.ts';
import { LabError } from './state.ts';

/** Commands that every lab needs, and the Debian package of each. */
const ALWAYS = { ip: 'iproute2', bridge: 'iproute2', nsenter: 'util-linux', mount: 'mount' };
/** Additional commands for the physical switch. */
const SWITCH = {
  'ovs-vswitchd': 'openvswitch-switch',
  'ovsdb-server': 'openvswitch-switch',
  'ovs-vsctl': 'openvswitch-switch',
  'ovsdb-tool': 'openvswitch-switch',
  ethtool: 'ethtool',
};

/** Additional commands for QEMU machines. Some of them build what the machines boot. */
const QEMU = {
  'qemu-system-x86_64': 'qemu-system-x86',
  clang: 'clang',
  'dpkg-deb': 'dpkg',
  'apt-get': 'apt',
};

/** Throws `LabError` with everything that this machine lacks for a lab, before anything is made. */
export function checkMachine(withSwitch: boolean, withQemu = false): void {
  if (process.getuid?.() !== 0) {
    throw new LabError('a lab needs root: it creates network namespaces');
  }
  const folders = (commandEnv().PATH ?? '').split(':');
  const isThere = (command: string) =>
    folders.some((folder) => {
      try {
        accessSync(join(folder, command), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  if (withQemu && !existsSync('/dev/net/tun')) {
    throw new LabError('missing: /dev/net/tun, which makes the taps of QEMU');
  }
  const missing = Object.entries({ ...ALWAYS, ...(withSwitch ? SWITCH : {}), ...(withQemu ? QEMU : {}) }).filter(
    ([name]) => !isThere(name),
  );
  if (missing.length === 0) {
    return;
  }
  const packages = [...new Set(missing.map(([, debianPackage]) => debianPackage))].join(' ');
  throw new LabError(`missing: ${missing.map(([name]) => name).join(', ')}; on Debian: apt-get install ${packages}`);
}
