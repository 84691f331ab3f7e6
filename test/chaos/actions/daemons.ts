/**
 * Agents and the controller are killed or stopped, and come back. The data plane continues: no copy
 * may be missing.
 */
import { agentPid } from '../processes.ts';
import { interfaceOf, NODES, nodeOf, type World } from '../world.ts';
import type { Action } from './action.ts';

interface Who {
  node: string;
}

const running = (world: World) => NODES.filter((node) => !world.down.includes(node));
const isUp = (world: World, name: string) => {
  world.down = world.down.filter((other) => other !== name);
};

export const killAgent: Action<Who> = {
  name: 'kill-agent',
  weight: 4,
  choose(world, random) {
    // A node that has what another one claims has to be there all the time.
    const holders = world.claimed.map(({ vm }) => nodeOf(world, interfaceOf(vm)));
    const nodes = running(world).filter((node) => !holders.includes(node));
    // Its end is seen, and its restart waited for, by the controller.
    return nodes.length === 0 || world.down.includes('controller') ? undefined : { node: random.pick(nodes) };
  },
  change(world, { node }) {
    world.down.push(node);
    world.undo.push({ action: 'start-agent', params: { node } });
  },
  run: ({ lab }, { node }) => lab.stopAgent(node, 'SIGKILL'),
};

export const startAgent: Action<Who> = {
  name: 'start-agent',
  weight: 0,
  needsController: true,
  choose: () => undefined,
  change: (world, { node }) => isUp(world, node),
  run: ({ lab }, { node }) => lab.startAgent(node),
};

export const freezeAgent: Action<Who> = {
  name: 'freeze-agent',
  weight: 2,
  choose(world, random) {
    const nodes = running(world);
    return nodes.length === 0 ? undefined : { node: random.pick(nodes) };
  },
  change(world, { node }) {
    world.down.push(node);
    world.undo.push({ action: 'thaw-agent', params: { node } });
  },
  run: async ({ lab }, { node }) => void process.kill(agentPid(lab, node), 'SIGSTOP'),
};

export const thawAgent: Action<Who> = {
  name: 'thaw-agent',
  weight: 0,
  choose: () => undefined,
  change: (world, { node }) => isUp(world, node),
  run: async ({ lab }, { node }) => void process.kill(agentPid(lab, node), 'SIGCONT'),
};

export const killController: Action<object> = {
  name: 'kill-controller',
  weight: 3,
  choose: (world) => (world.down.includes('controller') ? undefined : {}),
  change(world) {
    world.down.push('controller');
    world.undo.push({ action: 'start-controller', params: {} });
  },
  run: ({ lab }) => lab.stopController('SIGKILL'),
};

export const startController: Action<object> = {
  name: 'start-controller',
  weight: 0,
  choose: () => undefined,
  change: (world) => isUp(world, 'controller'),
  run: ({ lab }) => lab.startController(),
};
