/** The interface of an action, and the tools that it may use. */
import type { Lab } from '@mirrorplane/lab';
import type { Random } from '../random.ts';
import type { Doubt, Excuse } from '../timeline.ts';
import type { World } from '../world.ts';

/** The hands of an action. */
export interface Hands {
  lab: Lab;
  /** The world before the step, and after it. */
  before: World;
  after: World;
  /** The number that distinguishes the frames of this run. */
  run: number;
  /** From now on, until everything has settled, these copies may be missing. */
  doubt(doubt: Doubt): void;
  /** While `work` runs, originals of these hosts may be lost or flooded. */
  excused(excuse: Excuse, work: () => Promise<void>): Promise<void>;
  /** The fabric lets no ERSPAN through to a node, or does so again. */
  cut(node: string, isCut: boolean): void;
  /**
   * Not settled before this holds; after some seconds, what was disturbed must be right whether it
   * holds or not.
   */
  healed(what: string, condition: () => Promise<boolean>): void;
  /** Something that must never be: fails the run. */
  violation(message: string): void;
}

/** Something that is done to the cluster. `choose` and `change` are pure. */
export interface Action<P> {
  name: string;
  /** How often it is chosen, in proportion to the others; 0: only to end what another began. */
  weight: number;
  /** Needs the controller, even if other parts are down. */
  needsController?: boolean;
  /** Parameters that make sense in this world; undefined where none do. */
  choose(world: World, random: Random): P | undefined;
  /** Makes the world what it will be. */
  change(world: World, params: P): void;
  run(hands: Hands, params: P): Promise<void>;
}

// biome-ignore lint/suspicious/noExplicitAny: parameters go to the action that they come from
export type AnyAction = Action<any>;
