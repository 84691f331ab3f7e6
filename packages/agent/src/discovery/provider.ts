/**
 * Interface of identity providers. They report the interface of a device, and whether its guest
 * runs.
 */
import type { EventEmitter } from 'node:events';
import type { DeviceIdentity, GuestState, NodeProblem } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';

/** The claim of a provider on one device: its interface, or an error. */
export type Claim = {
  /** Name of the device in the provider's system. */
  device: string;
  /** Whether the guest runs behind the device. Left out: unknown. */
  guest?: GuestState;
  /** MAC address that the guest has, lower case with colons. */
  mac?: string;
  /**
   * Distinguishes successive lives of a claim, for example by the number of a domain's run.
   * Default: only one life.
   */
  life?: string;
} & ({ identity: DeviceIdentity } | { error: string });

/** The report of a provider. */
export interface Knowledge {
  /** By ifindex. */
  claims: ReadonlyMap<number, Claim>;
  /** NICs without a device on this node, which cannot be mirrored. */
  problems: readonly NodeProblem[];
}

/**
 * A provider that follows a daemon. It never fails. While its daemon is absent, it keeps its last
 * report and tries again. When the daemon is back, it reads everything again. It emits `change`
 * when its report has changed.
 */
export interface IdentityProvider extends EventEmitter<{ change: [] }> {
  /** As in `DeviceIdentity.provider`. */
  readonly name: string;
  /** Undefined until the daemon has been read once. */
  knowledge(): Knowledge | undefined;
  /** Sets the current devices of the node. Called once before `open`, and after every change. */
  look(links: readonly Link[]): void;
  /** Begins to listen. Returns at once. */
  open(): void;
  /** Stops listening, and ends the processes of the provider. Idempotent. */
  close(): void;
}

/** ifindex by device name, at one moment. */
export type DeviceIndex = ReadonlyMap<string, number>;

/** The devices of a node by name. */
export function deviceIndex(links: readonly Link[]): DeviceIndex {
  return new Map(links.map(({ name, ifindex }) => [name, ifindex]));
}

/**
 * Finds the device of each claim by its name. Only devices that existed before the daemon was asked
 * count, because a later device of the same name may belong to another guest. A device that was
 * renamed afterwards keeps its claim while the daemon reports the same claim. If two claims have
 * the same device, the first one counts.
 * @param there the devices before the daemon was asked
 * @param before the last result of `tie`
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

/** The longest name or network of an identity, characters. */
export const MAX_TEXT = 128;
