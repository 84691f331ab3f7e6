/** What a fault is, and what several of them need. */
import type { Random } from '../../chaos/random.ts';
import type { ControllerHost } from '../world/controller.ts';
import type { Host } from '../world/hosts.ts';
import type { World, WorldKind } from '../world/world.ts';

/** Takes a fault away. */
export type Undo = () => Promise<void> | void;

export interface Fault {
  name: string;
  /** How long it lasts, milliseconds: from, to. */
  lasts: readonly [least: number, most: number];
  /** Where it makes sense. */
  kinds: readonly WorldKind[];
  /** Begins it. Returns the function that takes it away. */
  begin(world: World, random: Random): Promise<Undo>;
}

export const ETCD = ['etcd', 'several'] as const;
export const ALL = ['etcd', 'file', 'several'] as const;
export const SEVERAL = ['several'] as const;
/** Longer than the lease of the controller, which is 10 s, and than a call of etcd may take. */
export const BEYOND_LEASE = [12_000, 13_000] as const;
export const SHORT = [1500, 3000] as const;

/** Several things at once, taken away together. */
export async function all(begun: Promise<Undo>[]): Promise<Undo> {
  const undo = await Promise.all(begun);
  return async () => {
    await Promise.all(undo.map((one) => one()));
  };
}

/** The controller that leads. If nobody leads now, any one. */
export async function victim(world: World, random: Random): Promise<ControllerHost> {
  return (await world.leader()) ?? random.pick(world.controllers);
}

/** One of the controllers that do not lead. */
export async function follower(world: World, random: Random): Promise<ControllerHost> {
  const leader = await world.leader();
  return random.pick(world.controllers.filter((one) => one !== leader));
}

/** Nothing that one of these hosts sends reaches one of the others, in both directions. */
export function apart(some: readonly Host[], others: readonly Host[]): Promise<Undo> {
  return all([...some.map((host) => host.deafTo(others)), ...others.map((host) => host.deafTo(some))]);
}
