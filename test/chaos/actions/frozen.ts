/**
 * A policy is switched while the agent of one of its sources is stopped. The status must not report
 * a change that was not made.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { policyStatus } from '../../support/policy.ts';
import { agentPid } from '../processes.ts';
import { NODES, nodeOf, type Spec, type World } from '../world.ts';
import type { Action, Hands } from './action.ts';

/** Milliseconds that the agent is stopped, and between two readings of the status. */
const FROZEN_MS = 1500;
const LOOK_MS = 100;

interface Switched {
  node: string;
  spec: Spec;
}

/** Nodes with agents that must take part when this policy is switched. */
function sourceNodes(world: World, { sources, destination }: Spec): string[] {
  if (nodeOf(world, destination) === undefined) {
    return [];
  }
  const nodes = new Set(sources.map((id) => nodeOf(world, id)));
  return NODES.filter((node) => nodes.has(node) && !world.down.includes(node));
}

export const switchFrozen: Action<Switched> = {
  name: 'switch-while-frozen',
  weight: 3,
  choose(world, random) {
    if (world.down.includes('controller')) {
      return undefined;
    }
    const all = Object.values(world.policies).filter((spec) => sourceNodes(world, spec).length > 0);
    if (all.length === 0) {
      return undefined;
    }
    const spec = random.pick(all);
    return { node: random.pick(sourceNodes(world, spec)), spec: { ...spec, enabled: !spec.enabled } };
  },
  change(world, { spec }) {
    world.policies[spec.name] = spec;
  },
  async run(hands, { node, spec }) {
    const pid = agentPid(hands.lab, node);
    process.kill(pid, 'SIGSTOP');
    try {
      await switchAndLook(hands, node, spec);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  },
};

async function switchAndLook({ lab, violation }: Hands, node: string, { name, enabled }: Spec): Promise<void> {
  const { sources, state: before } = await policyStatus(lab, name);
  const copies = sources.some(
    ({ state, devices }) => state === 'capturing' && devices.every((one) => one.node === node),
  );
  const body = { enabled };
  const { status } = await lab.api('PATCH', `/api/v1/policies/${name}`, body, {
    'content-type': 'application/merge-patch+json',
  });
  assert.equal(status, 200, `PATCH policy ${name}`);
  // What it did before has to be known for sure.
  if (enabled ? before !== 'disabled' : !copies) {
    return;
  }
  const end = Date.now() + FROZEN_MS;
  while (Date.now() < end) {
    const { state } = await policyStatus(lab, name);
    if (state === (enabled ? 'active' : 'disabled')) {
      return violation(`${name} is said to be ${state} while the agent of ${node} stands still`);
    }
    await sleep(LOOK_MS);
  }
}
