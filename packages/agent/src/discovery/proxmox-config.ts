/** Reads what Proxmox VE writes of a guest, and of its cluster. Pure. The formats: `man 5 qm.conf`, `man 5 pct.conf`. */
import type { GuestState } from '@mirrorplane/contract';
import { claimOf } from './claim.ts';
import { type Claim, MAX_TEXT } from './provider.ts';

/** A guest's NIC by the name of its device: `tap100i0` of a VM, `veth100i0` of a container. */
export interface GuestDevice {
  name: string;
  /** Folder of its configuration below that of the node. */
  folder: 'qemu-server' | 'lxc';
  vmid: string;
  /** The key of the NIC in the configuration, as `net0`. */
  key: string;
}

/** A guest's NIC. */
export interface ConfiguredNic {
  /** As it is written; empty where it is missing. */
  mac: string;
  /** The bridge, with the VLAN behind a dot where one is set; empty where the NIC has none. */
  network: string;
}

/** What a configuration says of a guest as it is now. */
export interface GuestConfig {
  name: string;
  tags: readonly string[];
  /** By key, as `net0`. */
  nics: ReadonlyMap<string, ConfiguredNic>;
}

/** A guest with this tag is a network function: its NICs are of kind `nfv`. */
export const NFV_TAG = 'mirrorplane-nfv';

const DEVICE = /^(tap|veth)(\d{1,9})i(\d{1,2})$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/**
 * The guest's NIC that a device of this name is. Undefined for all others; among them are the devices that the firewall
 * puts between a guest and its bridge (`fwbr100i0`, `fwln100i0`, `fwpr100p0`).
 */
export function guestDevice(name: string): GuestDevice | undefined {
  const [, kind, vmid, index] = DEVICE.exec(name) ?? [];
  if (vmid === undefined) {
    return undefined;
  }
  return { name, folder: kind === 'tap' ? 'qemu-server' : 'lxc', vmid, key: `net${index}` };
}

/**
 * Reads a configuration. Snapshots are left out. A NIC that is only among the pending changes counts: while it is being
 * plugged into a guest that runs, its device is there first.
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
    // Not by the expression: it would try every run of spaces in a long text from each of its characters.
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

/** `virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7`, or with `macaddr=`, or a container's with `hwaddr=`. */
function parseNic(value: string): ConfiguredNic {
  const parts = value.split(',').map((part) => part.split('=', 2) as [string, string?]);
  const fields = new Map(parts.map(([key, content]) => [key.trim(), content?.trim() ?? '']));
  // The address stands behind the model of the NIC, and there are many models.
  const mac = fields.get('macaddr') ?? fields.get('hwaddr') ?? [...fields.values()].find((field) => MAC.test(field));
  const bridge = fields.get('bridge') ?? '';
  const vlan = fields.get('tag');
  return { mac: mac ?? '', network: bridge && vlan ? `${bridge}.${vlan}` : bridge };
}

/** The name of the cluster in a corosync.conf; undefined where there is none. */
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
 * What is said of a device.
 * @param scope what keeps the ids apart from those of another cluster
 * @param guest `running` where the configuration is this node's, `absent` where it is another one's
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
