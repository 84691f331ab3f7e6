/** What all actions of a schedule work with. */
import type { Random } from './core/random.ts';
import type { Guests } from './world/guests.ts';
import type { World } from './world/world.ts';

/** What actions work with. */
export interface Stage {
  world: World;
  guests: Guests;
  random: Random;
}

/** The most policies: each destination node has one number for each, and one more in a handover. */
export const POLICY_NAMES = ['a', 'b', 'c', 'd'];

/** Something after a short or a long while. */
export function later({ world, random }: Stage, run: () => void): void {
  const wait = random.chance(0.5) ? random.between(0, 50) : random.between(0, random.pick([1000, 8000, 40_000])!);
  world.scheduler.after(wait, undefined, run);
}
