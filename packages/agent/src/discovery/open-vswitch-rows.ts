/** Reads the identities of NICs from interfaces in the Open vSwitch database. Pure. */
import { DeviceIdentity, type GuestState, type NodeProblem } from '@mirrorplane/contract';
import type { Row, Tables } from './ovsdb.ts';
import { type Claim, type DeviceIndex, MAX_TEXT } from './provider.ts';

/** The followed columns. Statistics are left out, because they change all the time. */
export const COLUMNS = {
  Interface: ['name', 'type', 'ifindex', 'external_ids'],
  Port: ['interfaces'],
  Bridge: ['name', 'ports'],
} as const;

/** A claim, with the ifindex of the device once the switch has opened it. */
export type SwitchClaim = Claim & { ifindex?: number };

/**
 * Types of interfaces that are kernel devices and can lead to a guest. The empty type means
 * `system`.
 */
const LEADS_TO_GUEST = new Set(['', 'system', 'tap']);
/**
 * Prefix of OpenStack's name for the switch end of the cable to its filter bridge. The port's id
 * follows the prefix.
 */
const HYBRID_PORT = 'qvo';
/** OpenStack uses so many characters of a port's id in the name of a device. */
const CUT = 11;
const INTERNAL = 'is an internal port of Open vSwitch, whose directions are reversed: use a tap or a veth';

/** The guests behind devices, and the NICs without a device. */
export function readInterfaces(tables: Tables): { claims: SwitchClaim[]; problems: NodeProblem[] } {
  const bridges = bridgeNames(tables);
  const claims: SwitchClaim[] = [];
  const problems: NodeProblem[] = [];
  for (const [uuid, row] of tables.get('Interface') ?? []) {
    const ids = mapOf(row.external_ids);
    const id = ids.get('mirrorplane-id') ?? ids.get('iface-id');
    if (id === undefined || id === '') {
      continue;
    }
    const name = String(row.name);
    const type = String(row.type);
    // A host's own port may have an iface-id, for example with OVN. The refusal is reported only if
    // an operator has set `mirrorplane-id`.
    if (type === 'internal' && !ids.has('mirrorplane-id')) {
      continue;
    }
    const identity = identityOf(ids, id, bridges.get(uuid));
    const error = type === 'internal' ? `${id}: ${name} ${INTERNAL}` : refusal(identity);
    const tap = hybridTap(name, ids.get('iface-id'));
    if (LEADS_TO_GUEST.has(type) || error !== undefined) {
      claims.push({
        device: tap ?? name,
        ...(tap === undefined && ifindexOf(row)),
        ...guestOf(ids),
        ...macOf(ids),
        ...(error === undefined && identity.success ? { identity: identity.data } : { error: error ?? '' }),
      });
    } else {
      const message = `${id}: ${name} is a port of type ${type}, so no kernel device sees its traffic`;
      problems.push({ code: 'DEVICE_UNSUPPORTED', message, interface: id });
    }
  }
  return { claims, problems };
}

/**
 * The devices that the switch refers to. A new device with the name of an earlier one is left out
 * until the switch has opened it, because the database may still describe the earlier one.
 */
export function opened(claims: readonly SwitchClaim[], there: DeviceIndex): DeviceIndex {
  const means = (claim: SwitchClaim) => claim.ifindex === undefined || claim.ifindex === there.get(claim.device);
  const names = new Set(claims.filter(means).map(({ device }) => device));
  return new Map([...there].filter(([name]) => names.has(name)));
}

/**
 * The guest's tap behind a port of OpenStack's hybrid plugging, where a filter bridge is between
 * tap and switch. The NIC's device is the tap, as for libvirt. So packets that the filter drops on
 * their way out are seen too.
 */
function hybridTap(name: string, port: string | undefined): string | undefined {
  const cut = port?.slice(0, CUT);
  return cut?.length === CUT && name === `${HYBRID_PORT}${cut}` ? `tap${cut}` : undefined;
}

function identityOf(ids: ReadonlyMap<string, string>, id: string, bridge: string | undefined) {
  const guest = [ids.get('vm-id') ?? ids.get('vm-uuid'), ids.get('attached-mac')].filter(Boolean).join(' ');
  const network = ids.get('mirrorplane-network') ?? bridge;
  return DeviceIdentity.safeParse({
    kind: ids.get('mirrorplane-kind') ?? 'vm',
    id,
    name: (ids.get('mirrorplane-name') ?? guest).slice(0, MAX_TEXT),
    ...(network !== undefined && { network: network.slice(0, MAX_TEXT) }),
    provider: 'open-vswitch',
  });
}

function refusal(identity: ReturnType<typeof identityOf>): string | undefined {
  if (!identity.success) {
    const issue = identity.error.issues[0];
    return `${issue?.path.join('.')} in external_ids: ${issue?.message}`;
  }
  return identity.data.kind === 'edge' ? 'mirrorplane-kind in external_ids: write vm or nfv' : undefined;
}

/**
 * `active` only says that the port is in use. A migration target has it before the guest runs
 * there.
 */
function guestOf(ids: ReadonlyMap<string, string>): { guest?: GuestState } {
  return ids.get('iface-status') === 'inactive' ? { guest: 'absent' } : {};
}

function macOf(ids: ReadonlyMap<string, string>): { mac?: string } {
  const mac = ids.get('attached-mac')?.toLowerCase();
  return mac === undefined ? {} : { mac };
}

function ifindexOf(row: Row): { ifindex?: number } {
  return typeof row.ifindex === 'number' && row.ifindex > 0 ? { ifindex: row.ifindex } : {};
}

/** Name of the bridge by UUID of the interface. */
function bridgeNames(tables: Tables): Map<string, string> {
  const names = new Map<string, string>();
  for (const bridge of tables.get('Bridge')?.values() ?? []) {
    for (const port of uuidsOf(bridge.ports)) {
      for (const uuid of uuidsOf(tables.get('Port')?.get(port)?.interfaces)) {
        names.set(uuid, String(bridge.name));
      }
    }
  }
  return names;
}

/** A set of one element is written as the element (RFC 7047, section 5.1). */
function uuidsOf(value: unknown): string[] {
  const [tag, content] = Array.isArray(value) ? value : [];
  const atoms: unknown[] = tag === 'set' && Array.isArray(content) ? content : [value];
  return atoms.flatMap((atom) => (Array.isArray(atom) && atom[0] === 'uuid' ? [String(atom[1])] : []));
}

function mapOf(value: unknown): Map<string, string> {
  const [tag, pairs] = Array.isArray(value) ? value : [];
  return tag === 'map' && Array.isArray(pairs) ? new Map(pairs.map(([k, v]) => [String(k), String(v)])) : new Map();
}
