/** Turns a NIC of a listing into a claim. */
import { DeviceIdentity, type GuestState, MacAddress, type NodeProblem } from '@mirrorplane/contract';
import { type Claim, MAX_TEXT } from './provider.ts';

/** The longest message, characters. */
const MAX_MESSAGE = 512;

/** A NIC of a listing, not checked yet. */
export interface ListedNic {
  /** Name of the device on this node. */
  device: string;
  kind: string;
  id: string;
  /** For people. It is cut to the length that an identity can have. */
  name: string;
  network?: string;
  provider: string;
  guest?: GuestState;
  mac?: string;
  /** As in `Claim`. */
  life?: string;
}

/**
 * The claim on a device. If the NIC cannot be an identity, the claim is an error that names the
 * NIC.
 */
export function claimOf(nic: ListedNic): Claim {
  const { device, kind, id, network, provider, guest, life } = nic;
  const name = nic.name.slice(0, MAX_TEXT);
  const mac = nic.mac?.toLowerCase();
  const base = { device, guest, life, mac: MacAddress.safeParse(mac).success ? mac : undefined };
  const claim = dropUndefined(base) as Pick<Claim, 'device' | 'guest' | 'life' | 'mac'>;
  const checked = DeviceIdentity.safeParse({
    kind,
    id,
    name,
    ...(network && { network: network.slice(0, MAX_TEXT) }),
    provider,
  });
  if (checked.success && checked.data.kind === 'edge') {
    return { ...claim, error: `${name}: kind "edge": write vm or nfv` };
  }
  if (checked.success) {
    return { ...claim, identity: checked.data };
  }
  const issue = checked.error.issues[0];
  const field = issue?.path.join('.');
  const value = String(field === 'kind' ? kind : id).slice(0, MAX_TEXT);
  return { ...claim, error: `${name}: ${field} "${value}": ${issue?.message}` };
}

/**
 * The most unreadable entries that are reported one by one. More of them probably have the same
 * cause.
 */
const MAX_PROBLEMS = 20;

/** Problems of the node for entries of a listing that were not understood. */
export function unreadableProblems(messages: readonly string[]): NodeProblem[] {
  return messages.slice(0, MAX_PROBLEMS).map((message) => ({
    code: 'IDENTITY_UNREADABLE',
    message: message.slice(0, MAX_MESSAGE),
  }));
}

function dropUndefined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined));
}
