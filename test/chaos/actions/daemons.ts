/** Agents and the controller die, or stand still, and come back. The data plane goes on: no copy may be missing. */
import { NODES, type World } from '../world.ts';
import type { Action } from './action.ts';

interface Who {
  node: string;
}

const running = (world: World) => NODES.filter((node) => !world.down.includes(node));
const isUp = (world: World, name: string) => {
  world.down = world.down.filter((other) => other !== name);
};

/** An agent's process. */
function agentPid(hands: { lab: { state: { processes: { name: string; pid: number }[] } } }, node: string): number {
  const found = hands.lab.state.processes.find(({ name }) => name === `agent-${node}`);
  if (!found) throw new Error(`no agent runs on ${node}`);
  return found.pid;
}

export const killAgent: Action<Who> = {
  name: 'kill-agent',
  weight: 4,
  choose(world, random) {
    const nodes = running(world);
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
  run: async (hands, { node }) => void process.kill(agentPid(hands, node), 'SIGSTOP'),
};

export const thawAgent: Action<Who> = {
  name: 'thaw-agent',
  weight: 0,
  choose: () => undefined,
  change: (world, { node }) => isUp(world, node),
  run: async (hands, { node }) => void process.kill(agentPid(hands, node), 'SIGCONT'),
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
