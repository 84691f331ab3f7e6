/** The parts of an open data path. */
import { statSync } from 'node:fs';
import { BudgetCounts } from './budget-counts.ts';
import { CounterReader } from './counters.ts';
import { DeviceBudgets } from './device-budgets.ts';
import type { Expedite } from './expedite.ts';
import { HelperDevice, type HelperState } from './helper-device.ts';
import { Holding } from './holding.ts';
import { type Installation, install, type Prepared } from './install.ts';
import { Interference } from './interference.ts';
import { LAYOUT, VLAN_SET_SIZE } from './layout.ts';
import type { BpfMap } from './libbpf.ts';
import type { Links } from './links.ts';
import { Looks } from './looks.ts';
import { NodeBudgetWriter } from './node-budget.ts';
import { Probes } from './probes.ts';
import type { DatapathRows } from './rows.ts';
import { Slots } from './slots.ts';
import { standbyFlag } from './standby-flag.ts';
import { COUNTED, learned, type Shared, TableWriter, withoutField } from './table-writer.ts';

/** The writers of all maps that `buildRows` and `arrivalRows` fill. */
export type Tables = Record<Exclude<keyof DatapathRows, 'attachments'> | 'arrivals', TableWriter>;

/** The parts that exist between open() and close(). */
export interface Opened {
  installation: Installation;
  /** The links have the programs of this build. True after the first apply has filled the maps. */
  switched: boolean;
  links: Links;
  /**
   * Links of the other kind of hook that an earlier agent may have left. Undefined after their
   * removal.
   */
  others: Links | undefined;
  slots: Slots;
  helperDevice: HelperDevice;
  /** ifindex. 0: the device cannot be made. */
  helper: number;
  /** ifindex of its other end. */
  peer: number;
  /** ifindex of the segmenter over the helper device. 0: there is none. */
  segmenter: number;
  /** Inode of the network namespace. */
  netns: number;
  holding: Holding;
  interference: Interference;
  counters: CounterReader;
  devices: DeviceBudgets;
  node: NodeBudgetWriter;
  looks: Looks;
  probes: Probes;
  tables: Tables;
}

/** When the data plane last looked where a termination belongs, see place.h. */
const CHECKED: Shared = {
  isOwn: () => false,
  blank: (found) => withoutField(found, LAYOUT.termination.fields.checked),
};

const SLOT_LIMITS = { capture: 8192, delivery: 4096, termination: 8192, device: 1024 };

/** Options of `openParts`. */
export interface OpenOptions {
  bpffs: string;
  /** Links of the chosen kind, and links of the other kind that an earlier agent may have left. */
  links: Links;
  others: Links;
  prepared: Prepared;
  expedite: Expedite;
  /** The object file of what hears drops. Default: the one of this release. */
  hearing?: string | undefined;
}

/**
 * Takes over the pinned data plane, or installs it. @throws Error if the kernel refuses; nothing is
 * left open then
 */
export async function openParts({ bpffs, links, others, prepared, expedite, hearing }: OpenOptions): Promise<Opened> {
  const installation = install(bpffs, prepared);
  const helperDevice = new HelperDevice();
  let pair: HelperState;
  try {
    expedite.during(() => links.open());
    pair = await helperDevice.ensure();
  } catch (error) {
    for (const part of [helperDevice, links, installation]) {
      part.close();
    }
    throw error;
  }
  const { maps } = installation;
  const slots = new Slots(maps, SLOT_LIMITS);
  const tables = makeTables(maps);
  const budgets = new BudgetCounts(maps);
  const probes = new Probes(maps);
  probes.expect([]); // an agent that was killed may have left some
  return {
    installation,
    switched: false,
    links,
    others,
    slots,
    helperDevice,
    helper: pair.ifindex,
    peer: pair.peer,
    netns: statSync('/proc/self/ns/net').ino,
    segmenter: pair.segmenter,
    holding: new Holding(bpffs, installation),
    interference: new Interference({ bpffs, links, installation, tables: Object.values(tables) }),
    counters: new CounterReader(maps, slots, Slots.epoch(maps.slots)),
    devices: new DeviceBudgets(tables.budgets, budgets, slots),
    node: new NodeBudgetWriter(tables.budgets, budgets),
    looks: new Looks(maps, tables.looks, hearing),
    probes,
    tables,
  };
}

/**
 * Gives the links of another build the programs of this build, after the maps are filled. Does
 * nothing if they have them.
 */
export function switchPrograms(opened: Opened): void {
  if (opened.switched) {
    return;
  }
  opened.links.switchTo(opened.installation.programs);
  // Directly before programs are attached with the other kind of hook: with both kinds, packets
  // would be copied twice.
  opened.others?.open();
  opened.others?.switchTo(new Map()); // without programs: all are dropped
  opened.others?.close();
  opened.others = undefined;
  opened.installation.finish();
  opened.switched = true;
}

function makeTables(maps: Installation['maps']): Tables {
  const table = (map: BpfMap, key: number, value: number, shared?: Shared) => new TableWriter(map, key, value, shared);
  return {
    captures: table(maps.captures, LAYOUT.capture_key.size, LAYOUT.capture.size, standbyFlag),
    deliveries: table(maps.deliveries, 4, LAYOUT.delivery.size),
    terminations: table(maps.terminations, LAYOUT.termination_key.size, LAYOUT.termination.size, CHECKED),
    peers: table(maps.peers, 4, LAYOUT.peer.size, COUNTED),
    arrivalPorts: table(maps.arrival_ports, 4, LAYOUT.arrival_port.size),
    arrivals: table(maps.arrivals, LAYOUT.arrival_key.size, 4, learned()),
    destinations: table(maps.destinations, 4, LAYOUT.destination.size, COUNTED),
    hostAddresses: table(maps.host_addresses, LAYOUT.host_address.size, 4),
    physicalDevices: table(maps.physical_devices, 4, 4),
    place: table(maps.node_place, 4, LAYOUT.place.size),
    copyVlans: table(maps.copy_vlans, 4, VLAN_SET_SIZE),
    copyMacs: table(maps.copy_macs, LAYOUT.copy_mac.size, 4),
    budgets: table(maps.budget_rates, 4, LAYOUT.budget.size),
    looks: table(maps.looks, 4, LAYOUT.look.size),
    lookHooks: table(maps.look_hooks, LAYOUT.capture_key.size, LAYOUT.look_hook.size),
    lookGuests: table(maps.look_guests, LAYOUT.arrival_key.size, LAYOUT.look_guest.size),
  };
}
