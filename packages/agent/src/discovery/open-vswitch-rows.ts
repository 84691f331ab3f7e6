/** Reads what the Open vSwitch database says of interfaces: which NIC each one is. Pure. */
import { DeviceIdentity, type GuestState, type NodeProblem } from '@mirrorplane/contract';
import type { Row, Tables } from './ovsdb.ts';
import { type Claim, type DeviceIndex, MAX_TEXT } from './provider.ts';

/** The columns that are followed; statistics, which change all the time, are not among them. */
export const COLUMNS = {
  Interface: ['name', 'type', 'ifindex', 'external_ids'],
  Port: ['interfaces'],
  Bridge: ['name', 'ports'],
} as const;

/** A claim, with the ifindex of the device where the switch has opened it. */
export type SwitchClaim = Claim & { ifindex?: number };

/** Types of interfaces that are devices of the kernel and lead to a guest; the empty one is `system`. */
const LEADS_TO_GUEST = new Set(['', 'system', 'tap']);
/** What OpenStack calls the switch's end of the cable to the bridge on which it filters; behind it the port's id begins. */
const HYBRID_PORT = 'qvo';
/** Characters of a port's id that fit into the name of a device, as OpenStack cuts it. */
const CUT = 11;
const INTERNAL = 'is an internal port of Open vSwitch, whose directions are reversed: use a tap or a veth';

/** Who is behind which device, and which NICs no device stands for. */
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
    // A host's own port may have an iface-id, as those of OVN have; only who names it for us is told why it is refused.
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
 * The devices that the switch means. One that came under the name of another is left out until the switch has opened it:
 * what the database says may be about its predecessor.
 */
export function opened(claims: readonly SwitchClaim[], there: DeviceIndex): DeviceIndex {
  const means = (claim: SwitchClaim) => claim.ifindex === undefined || claim.ifindex === there.get(claim.device);
  const names = new Set(claims.filter(means).map(({ device }) => device));
  return new Map([...there].filter(([name]) => names.has(name)));
}

/**
 * The guest's tap behind a port of OpenStack's hybrid plugging, where a bridge with its filter stands between the tap and
 * the switch. The NIC is the tap: so it is where libvirt knows it too, and what the filter drops on the way out is seen.
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

/** `active` says that the port is in use, and not that the guest runs here: a migration target has it too early. */
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

/** A set of one element stands alone (RFC 7047, section 5.1). */
function uuidsOf(value: unknown): string[] {
  const [tag, content] = Array.isArray(value) ? value : [];
  const atoms: unknown[] = tag === 'set' && Array.isArray(content) ? content : [value];
  return atoms.flatMap((atom) => (Array.isArray(atom) && atom[0] === 'uuid' ? [String(atom[1])] : []));
}

function mapOf(value: unknown): Map<string, string> {
  const [tag, pairs] = Array.isArray(value) ? value : [];
  return tag === 'map' && Array.isArray(pairs) ? new Map(pairs.map(([k, v]) => [String(k), String(v)])) : new Map();
}
