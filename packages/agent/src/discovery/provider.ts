/** What identity providers have in common: they tell which interface a device is, and whether its guest runs. */
import type { EventEmitter } from 'node:events';
import type { DeviceIdentity, GuestState, NodeProblem } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';

/** What a provider says of one device: which interface it is, or why it cannot be told. */
export type Claim = {
  /** Name of the device, as the provider knows it. */
  device: string;
  /** Whether the guest runs behind it. Left out: not known. */
  guest?: GuestState;
  /** MAC address that the guest has, lower case with colons. */
  mac?: string;
  /** Tells one life of the claim from the next, as the number of a domain's run does. Default: it has one life. */
  life?: string;
} & ({ identity: DeviceIdentity } | { error: string });

/** All that a provider says. */
export interface Knowledge {
  /** By ifindex. */
  claims: ReadonlyMap<number, Claim>;
  /** NICs that no device of this node stands for, and so cannot be mirrored. */
  problems: readonly NodeProblem[];
}

/**
 * A provider that listens to a daemon. It never fails: while its daemon is absent it says what it knew last, tries
 * again automatically, and reads everything again when the daemon is back. `change` comes when its report has changed.
 */
export interface IdentityProvider extends EventEmitter<{ change: [] }> {
  /** As in `DeviceIdentity.provider`. */
  readonly name: string;
  /** Undefined until the daemon has been read once. */
  knowledge(): Knowledge | undefined;
  /** Says which devices the node has now. Called once before `open`, and whenever they change. */
  look(links: readonly Link[]): void;
  /** Begins to listen. Returns at once. */
  open(): void;
  /** Stops listening, and ends the processes that were started for it. Idempotent. */
  close(): void;
}

/** ifindex by device name, as the node had them at one moment. */
export type DeviceIndex = ReadonlyMap<string, number>;

/** The devices of a node by name. */
export function deviceIndex(links: readonly Link[]): DeviceIndex {
  return new Map(links.map(({ name, ifindex }) => [name, ifindex]));
}

/**
 * Ties claims, which name a device, to the device itself. A claim counts for the device that was there before the
 * daemon was asked: one that came later under the same name may belong to another guest. A device that was renamed since
 * it was tied keeps its claim, as long as the daemon says the same. Of two claims on one device the first one holds.
 * @param there the devices before the daemon was asked
 * @param before what `tie` gave last
 */
export function tie(
  claims: readonly Claim[],
  there: DeviceIndex,
  before: ReadonlyMap<number, Claim> = new Map(),
): Map<number, Claim> {
  const present = new Set(there.values());
  const tied = new Map([...before].filter(([ifindex]) => present.has(ifindex)).map(([i, claim]) => [key(claim), i]));
  const result = new Map<number, Claim>();
  for (const claim of claims) {
    const ifindex = tied.get(key(claim)) ?? there.get(claim.device);
    if (ifindex !== undefined && !result.has(ifindex)) {
      result.set(ifindex, claim);
    }
  }
  return result;
}

function key(claim: Claim): string {
  return JSON.stringify([claim.device, claim.life, 'identity' in claim ? claim.identity.id : '']);
}

/** The longest text that an identity holds as a name or network. */
export const MAX_TEXT = 128;
