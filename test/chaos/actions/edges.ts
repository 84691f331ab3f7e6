/** Edge NICs flap, get other names, and are replaced by a spare one. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '@mirrorplane/lab';
import type { Doubt } from '../timeline.ts';
import { EDGES, type EdgeNic, nicKey, TOPOLOGY, type World } from '../world.ts';
import type { Action } from './action.ts';

const DOWN_MS = 400;
const SPARE: EdgeNic = { node: 'node-1', nic: 'edge1' };

const about = (reason: string, edge: string): Doubt => ({
  reason,
  touches: ({ destination }, source) => source === edge || destination === edge,
});

/**
 * Hosts with frames that pass a NIC, or that are flooded while the switch learns their places
 * again.
 */
const PHYSICAL = [
  ...TOPOLOGY.edges.flatMap(({ gateway }) => (gateway ? [gateway.name] : [])),
  ...(TOPOLOGY.switch?.hosts ?? []).flatMap(({ name, address }) => (address ? [name] : [])),
];

const link = (lab: Lab, { node }: EdgeNic, ...args: string[]) => lab.exec(node, ['ip', 'link', 'set', ...args]);

/** Declares the current device of an edge to the controller. */
async function declare(lab: Lab, world: World, edge: string): Promise<void> {
  const nic = world.edges[edge]!;
  const { declare: declared, allowedVlans } = TOPOLOGY.edges.find((one) => one.declare?.id === edge)!;
  const body = {
    kind: 'edge',
    name: declared!.name,
    edge: { node: nic.node, device: world.nicNames[nicKey(nic)], allowedVlans },
  };
  const { status, body: answer } = await lab.api('PUT', `/api/v1/interfaces/${edge}`, body);
  if (status >= 300) {
    throw new Error(`PUT interface ${edge}: ${status} ${JSON.stringify(answer)}`);
  }
}

export const flapEdge: Action<{ edge: string; ms: number }> = {
  name: 'flap-edge',
  weight: 2,
  choose: (_, random) => ({ edge: random.pick(EDGES), ms: random.int(DOWN_MS) }),
  change: () => undefined,
  async run({ lab, before, doubt, excused }, { edge, ms }) {
    const nic = before.edges[edge]!;
    const device = before.nicNames[nicKey(nic)]!;
    doubt(about(`${edge} is down`, edge));
    await excused({ reason: `${edge} is down`, hosts: PHYSICAL }, async () => {
      await link(lab, nic, device, 'down');
      await sleep(ms);
      await link(lab, nic, device, 'up');
    });
  },
};

/** A NIC gets another name, and the operator says so. */
export const renameEdge: Action<{ edge: string; name: string }> = {
  name: 'rename-edge',
  weight: 2,
  needsController: true,
  choose(world, random) {
    if (world.down.includes('controller')) {
      return undefined;
    }
    return { edge: random.pick(EDGES), name: `nic${random.int(10_000)}` };
  },
  change(world, { edge, name }) {
    world.nicNames[nicKey(world.edges[edge]!)] = name;
  },
  async run({ lab, before, after, doubt, excused }, { edge, name }) {
    const nic = before.edges[edge]!;
    const device = before.nicNames[nicKey(nic)]!;
    const reason = `${edge} is renamed`;
    doubt(about(reason, edge));
    await excused({ reason, hosts: PHYSICAL }, async () => {
      await link(lab, nic, device, 'down');
      await link(lab, nic, device, 'name', name);
      await link(lab, nic, name, 'up');
    });
    await declare(lab, after, edge);
  },
};

/** An edge becomes another NIC of its node: the policies follow by themselves. */
export const replaceEdge: Action<{ edge: string; nic: EdgeNic }> = {
  name: 'replace-edge',
  weight: 2,
  needsController: true,
  choose(world) {
    if (world.down.includes('controller')) {
      return undefined;
    }
    const first = TOPOLOGY.edges.find(({ declare: declared }) => declared?.id === 'edge-1')!;
    const isSpare = nicKey(world.edges['edge-1']!) === nicKey(SPARE);
    return { edge: 'edge-1', nic: isSpare ? { node: first.node, nic: first.device } : SPARE };
  },
  change(world, { edge, nic }) {
    world.edges[edge] = nic;
  },
  async run({ lab, after, doubt }, { edge }) {
    doubt(about(`${edge} becomes another NIC`, edge));
    await declare(lab, after, edge);
  },
};
