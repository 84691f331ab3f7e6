/** Makes claims out of what a listing says of a NIC. */
import { DeviceIdentity, type GuestState, MacAddress, type NodeProblem } from '@mirrorplane/contract';
import { type Claim, MAX_TEXT } from './provider.ts';

/** Characters of a message. */
const MAX_MESSAGE = 512;

/** A NIC as a listing has it, not checked yet. */
export interface ListedNic {
  /** Name of the device on this node. */
  device: string;
  kind: string;
  id: string;
  /** For people; is cut to the length that an identity holds. */
  name: string;
  network?: string;
  provider: string;
  guest?: GuestState;
  mac?: string;
  /** As in `Claim`. */
  life?: string;
}

/** The claim on a device; an error, which names the NIC, where it cannot be an identity. */
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

/** More entries than this are not understood for one reason. */
const MAX_PROBLEMS = 20;

/** What entries of a listing that were not understood are to the node. */
export function unreadableProblems(messages: readonly string[]): NodeProblem[] {
  return messages.slice(0, MAX_PROBLEMS).map((message) => ({
    code: 'IDENTITY_UNREADABLE',
    message: message.slice(0, MAX_MESSAGE),
  }));
}

function dropUndefined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined));
}
