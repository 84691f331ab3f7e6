/**
 * Makes the steps and their times from a seed. Pure: the same seed gives the same rounds,
 * independent of the run.
 */
import { ACTIONS, type AnyAction, actionOf } from './actions/index.ts';
import { create as createPolicy } from './actions/policies.ts';
import { type Random, seeded } from './random.ts';
import { firstWorld, nicKey, type World } from './world.ts';

/** One thing that is done. */
export interface Step {
  /** Name of the action. */
  action: string;
  params: unknown;
  /**
   * Milliseconds after the beginning of the round, at the earliest; steps wait for those before
   * them.
   */
  at: number;
  /** Wait until everything is as meant to be before the next step, unless a daemon is down. */
  settle: boolean;
}

/** Steps under traffic. After them, everything must settle again. */
export interface Round {
  steps: Step[];
}

/** Milliseconds between two steps, at most. */
const PAUSE_MS = 700;
/** Disturbances of a round, from and up to. */
const DISTURBANCES = [3, 6] as const;
/**
 * With fewer policies, a round begins with new ones: where nothing is mirrored, nothing is shown.
 */
const FEW_POLICIES = 3;
const SETTLE_CHANCE = 0.6;
/** How likely it is, after each step, that something that was begun is ended. */
const UNDO_CHANCE = 0.35;

/**
 * The rounds of a seed, without end. `only` names the actions that may be used; undoing always may.
 */
export function* rounds(seed: number, only?: readonly string[]): Generator<Round, never> {
  const random = seeded(seed);
  const world = firstWorld();
  const actions = ACTIONS.filter(({ name, weight }) => weight > 0 && (!only || only.includes(name)));
  for (;;) {
    yield round(world, random, actions);
  }
}

function round(world: World, random: Random, actions: readonly AnyAction[]): Round {
  const steps: Step[] = [];
  let at = 0;
  const add = (action: string, params: unknown) => {
    steps.push({ action, params, at, settle: random.chance(SETTLE_CHANCE) });
    at += random.int(PAUSE_MS);
  };
  const undo = () => {
    const isDown = world.down.includes('controller');
    const next = random.pick(world.undo.filter(({ action }) => !isDown || !actionOf(action).needsController));
    world.undo.splice(world.undo.indexOf(next), 1);
    actionOf(next.action).change(world, next.params);
    add(next.action, next.params);
  };
  const act = (action: AnyAction, params: unknown) => {
    action.change(world, params);
    add(action.name, params);
  };
  for (let tries = 0; tries < 2 * FEW_POLICIES && Object.keys(world.policies).length < FEW_POLICIES; tries++) {
    const params = createPolicy.choose(world, random);
    if (params) {
      act(createPolicy, params);
    }
  }
  const [least, most] = DISTURBANCES;
  for (let left = least + random.int(most - least + 1); left > 0; left--) {
    while (world.undo.length > 0 && random.chance(UNDO_CHANCE)) {
      undo();
    }
    const possible = actions.flatMap((action) => {
      const params = action.choose(world, random);
      return params === undefined ? [] : [{ action, params }];
    });
    if (possible.length === 0) {
      break;
    }
    const { action, params } = random.weighted(possible, ({ action: { weight } }) => weight);
    act(action, params);
  }
  while (world.undo.length > 0) {
    undo();
  }
  return { steps };
}

/**
 * A round that takes every policy away and brings everything back to where it was when the lab was
 * made.
 */
export function homeward(from: World): Round {
  const world = structuredClone(from);
  const home = firstWorld();
  const steps: Step[] = [];
  const add = (action: string, params: unknown) => {
    actionOf(action).change(world, params);
    steps.push({ action, params, at: 0, settle: false });
  };
  for (const name of Object.keys(world.policies)) {
    add('delete-policy', { name });
  }
  for (const [vm, node] of Object.entries(home.places)) {
    if (world.places[vm] !== node) {
      add('migrate', { vm, node, overlap: false });
    }
  }
  const rename = (edge: string) => {
    const key = nicKey(world.edges[edge]!);
    if (world.nicNames[key] !== home.nicNames[key]) {
      add('rename-edge', { edge, name: home.nicNames[key] });
    }
  };
  for (const [edge, nic] of Object.entries(home.edges)) {
    rename(edge);
    if (nicKey(world.edges[edge]!) !== nicKey(nic)) {
      add('replace-edge', { edge, nic });
    }
    rename(edge);
  }
  return { steps };
}
