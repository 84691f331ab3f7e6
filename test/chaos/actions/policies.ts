/** Policies come, change and go. */
import assert from 'node:assert/strict';
import { createPolicy, deletePolicy } from '../../support/policy.ts';
import type { Random } from '../random.ts';
import { EDGES, interfaceOf, MOVING, RECEIVERS, type Spec, VLANS, type World } from '../world.ts';
import type { Action } from './action.ts';

const PERCENTS = [100, 100, 100, 100, 50, 25, 33.33, 0];
const DIRECTIONS = ['all', 'all', 'all', 'inbound', 'outbound'] as const;
const MOST_POLICIES = 7;
/** Mbit/s: more than all flows together. */
const RATE = 100;

/** Fields that may be changed without a thought for other policies. */
function looks(random: Random): Pick<Spec, 'direction' | 'percent' | 'maxRate'> {
  return {
    direction: random.pick(DIRECTIONS),
    percent: random.pick(PERCENTS),
    ...(random.chance(0.15) && { maxRate: RATE }),
  };
}

/**
 * VMs that are no source yet and may be one towards this destination, so that copies never go in a
 * circle.
 */
function freeSources(world: World, destination: string): string[] {
  const taken = new Set(Object.values(world.policies).flatMap(({ sources }) => sources));
  const [chained, last] = RECEIVERS.map(interfaceOf);
  return MOVING.map(interfaceOf).filter((id) => {
    if (taken.has(id) || id === last) {
      return false;
    }
    return id !== chained || destination === last;
  });
}

/** An edge that may mirror to the other, or undefined. */
function freeEdges(world: World): { source: string; destination: string }[] {
  const physical = Object.values(world.policies).filter(({ sources }) => EDGES.includes(sources[0]!));
  return physical.length > 0
    ? []
    : [
        { source: 'edge-1', destination: 'edge-3' },
        { source: 'edge-3', destination: 'edge-1' },
      ];
}

function newSpec(world: World, random: Random): Spec | undefined {
  const name = `p${world.policyCount + 1}`;
  const base = { name, enabled: random.chance(0.9), ...looks(random) };
  const kind = random.weighted(['virtual', 'virtual-to-physical', 'physical'] as const, (type) =>
    type === 'virtual' ? 5 : type === 'physical' ? 2 : 3,
  );
  if (kind === 'physical') {
    const [edge] = random.some(freeEdges(world), 1);
    return edge && { ...base, sources: [edge.source], destination: edge.destination, vlanId: random.pick(VLANS) };
  }
  const destination = kind === 'virtual' ? interfaceOf(random.pick(RECEIVERS)) : random.pick(EDGES);
  const sources = random.some(freeSources(world, destination), 1 + random.int(3));
  if (sources.length === 0) {
    return undefined;
  }
  return { ...base, sources, destination, ...(kind !== 'virtual' && { vlanId: random.pick(VLANS) }) };
}

const up = (world: World) => !world.down.includes('controller');
const put = (world: World, spec: Spec) => {
  world.policies[spec.name] = spec;
};

export const create: Action<Spec> = {
  name: 'create-policy',
  weight: 7,
  choose(world, random) {
    if (!up(world) || Object.keys(world.policies).length >= MOST_POLICIES) {
      return undefined;
    }
    return newSpec(world, random);
  },
  change(world, spec) {
    put(world, spec);
    world.policyCount++;
  },
  run: async ({ lab }, spec) => {
    await createPolicy(lab, spec);
  },
};

/** A change to a policy that leaves its name and destination as they are. */
export const patch: Action<Spec> = {
  name: 'patch-policy',
  weight: 5,
  choose(world, random) {
    const all = Object.values(world.policies);
    if (!up(world) || all.length === 0) {
      return undefined;
    }
    const spec = random.pick(all);
    const { maxRate: _, ...rest } = spec;
    const changed: Spec = { ...rest, ...looks(random) };
    if (spec.vlanId !== undefined && random.chance(0.5)) {
      changed.vlanId = random.pick(VLANS);
    }
    if (!EDGES.includes(spec.sources[0]!) && random.chance(0.4)) {
      const kept = random.some(spec.sources, 1 + random.int(spec.sources.length));
      changed.sources = [...kept, ...random.some(freeSources(world, spec.destination), random.int(2))];
    }
    return JSON.stringify(changed) === JSON.stringify(spec) ? undefined : changed;
  },
  change: put,
  async run({ lab }, spec) {
    const { name, ...fields } = spec;
    const body = { maxRate: null, ...fields };
    const answer = await lab.api('PATCH', `/api/v1/policies/${name}`, body, {
      'content-type': 'application/merge-patch+json',
    });
    assert.equal(answer.status, 200, `PATCH policy ${name}: ${JSON.stringify(answer.body)}`);
  },
};

/** Switches a policy off, or on again. */
export const toggle: Action<Spec> = {
  name: 'toggle-policy',
  weight: 3,
  choose(world, random) {
    const all = Object.values(world.policies);
    if (!up(world) || all.length === 0) {
      return undefined;
    }
    const spec = random.pick(all);
    return { ...spec, enabled: !spec.enabled };
  },
  change: put,
  async run({ lab }, { name, enabled }) {
    const type = { 'content-type': 'application/merge-patch+json' };
    const answer = await lab.api('PATCH', `/api/v1/policies/${name}`, { enabled }, type);
    assert.equal(answer.status, 200, `PATCH policy ${name}: ${JSON.stringify(answer.body)}`);
  },
};

export const remove: Action<{ name: string }> = {
  name: 'delete-policy',
  weight: 3,
  choose(world, random) {
    const names = Object.keys(world.policies);
    return up(world) && names.length > 1 ? { name: random.pick(names) } : undefined;
  },
  change(world, { name }) {
    delete world.policies[name];
  },
  run: ({ lab }, { name }) => deletePolicy(lab, name),
};
