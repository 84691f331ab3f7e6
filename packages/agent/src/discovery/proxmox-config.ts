/**
 * Reads configuration files of Proxmox VE: guests and the cluster. Pure. Formats: `man 5 qm.conf`,
 * `man 5 pct.conf`.
 */
import type { GuestState } from '@mirrorplane/contract';
import { claimOf } from './claim.ts';
import { type Claim, MAX_TEXT } from './provider.ts';

/** A guest's NIC from the name of its device: `tap100i0` for a VM, `veth100i0` for a container. */
export interface GuestDevice {
  name: string;
  /** Folder of its configuration, below the folder of the node. */
  folder: 'qemu-server' | 'lxc';
  vmid: string;
  /** The key of the NIC in the configuration, for example `net0`. */
  key: string;
}

/** A guest's NIC. */
export interface ConfiguredNic {
  /** As written in the file. Empty if it is missing. */
  mac: string;
  /** The bridge, and the VLAN after a dot if one is set. Empty without a bridge. */
  network: string;
}

/** The current configuration of a guest. */
export interface GuestConfig {
  name: string;
  tags: readonly string[];
  /** By key, for example `net0`. */
  nics: ReadonlyMap<string, ConfiguredNic>;
}

/** A guest with this tag is a network function. Its NICs have the kind `nfv`. */
export const NFV_TAG = 'mirrorplane-nfv';

const DEVICE = /^(tap|veth)(\d{1,9})i(\d{1,2})$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/**
 * The guest's NIC for a device of this name. Undefined for all other names, and for the firewall's
 * devices between a guest and its bridge (`fwbr100i0`, `fwln100i0`, `fwpr100p0`).
 */
export function guestDevice(name: string): GuestDevice | undefined {
  const [, kind, vmid, index] = DEVICE.exec(name) ?? [];
  if (vmid === undefined) {
    return undefined;
  }
  return { name, folder: kind === 'tap' ? 'qemu-server' : 'lxc', vmid, key: `net${index}` };
}

/**
 * Reads a configuration. Snapshots are ignored. A NIC in the pending changes counts too: during a
 * hotplug, its device exists before the change is complete.
 */
export function parseGuestConfig(text: string): GuestConfig {
  const nics = new Map<string, ConfiguredNic>();
  let name = '';
  let tags: string[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    const [, header] = /^\[([^\]]*)\]\s*$/.exec(line) ?? [];
    if (header !== undefined) {
      section = header;
    }
    const [, key, content] = /^([a-z][a-z_0-9]*):(.*)/.exec(line) ?? [];
    if (key === undefined || content === undefined || (section !== '' && section !== 'PENDING')) {
      continue;
    }
    // The expression does not match the spaces: on a long run of spaces it would take quadratic
    // time.
    const value = content.trim();
    if (/^net\d+$/.test(key)) {
      if (!nics.has(key)) {
        nics.set(key, parseNic(value));
      }
    } else if (section !== '') {
    } else if (key === 'name' || key === 'hostname') {
      name = value.slice(0, MAX_TEXT);
    } else if (key === 'tags') {
      tags = value.split(/[;, ]+/).filter(Boolean);
    }
  }
  return { name, tags, nics };
}

/**
 * Reads `virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7`. The address may also be in `macaddr=`, or
 * for a container in `hwaddr=`.
 */
function parseNic(value: string): ConfiguredNic {
  const parts = value.split(',').map((part) => part.split('=', 2) as [string, string?]);
  const fields = new Map(parts.map(([key, content]) => [key.trim(), content?.trim() ?? '']));
  // The address is the value of the NIC's model, and there are many models.
  const mac = fields.get('macaddr') ?? fields.get('hwaddr') ?? [...fields.values()].find((field) => MAC.test(field));
  const bridge = fields.get('bridge') ?? '';
  const vlan = fields.get('tag');
  return { mac: mac ?? '', network: bridge && vlan ? `${bridge}.${vlan}` : bridge };
}

/** The name of the cluster in a corosync.conf. Undefined if there is none. */
export function clusterName(text: string): string | undefined {
  for (const line of text.split('\n')) {
    const [, name] = /^cluster_name:\s*(\S+)$/.exec(line.trim()) ?? [];
    if (name !== undefined) {
      return name;
    }
  }
  return undefined;
}

/**
 * The claim on a device.
 * @param scope distinguishes ids of different clusters
 * @param guest `running` if this node has the configuration, `absent` if another node has it
 */
export function guestClaim(device: GuestDevice, config: GuestConfig, scope: string, guest: GuestState): Claim {
  const { name, vmid, key } = device;
  const label = `${config.name || vmid} ${key}`;
  const nic = config.nics.get(key);
  if (nic === undefined) {
    return { device: name, guest, error: `${label}: ${vmid}.conf has no ${key}` };
  }
  if (!MAC.test(nic.mac)) {
    return { device: name, guest, error: `${label}: ${key} in ${vmid}.conf has no MAC address` };
  }
  const mac = nic.mac.toLowerCase();
  return claimOf({
    device: name,
    kind: config.tags.includes(NFV_TAG) ? 'nfv' : 'vm',
    id: `pve/${scope}/${vmid}/${mac.replaceAll(':', '-')}`,
    name: label,
    network: nic.network,
    provider: 'proxmox',
    guest,
    mac,
  });
}
