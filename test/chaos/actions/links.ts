/** Devices go down and come up, change their MTU, lose their identity; bridges get ports. */
import { setTimeout as sleep } from 'node:timers/promises';
import { identityAlias } from '@mirrorplane/lab';
import type { Doubt } from '../timeline.ts';
import { interfaceOf, isClaimed, MOVING, NODES, nodeOf, type World } from '../world.ts';
import type { Action } from './action.ts';

/** Milliseconds that a device is down, at most. */
const DOWN_MS = 400;
/** Too little for whole frames with their outer headers, and just too little. */
const SMALL_MTUS = [1500, 1540];

/** Copies that cross the underlay device of a node. */
function crossing(reason: string, node: string, ...worlds: World[]): Doubt {
  return {
    reason,
    touches: ({ destination }, source) =>
      worlds.some((world) => {
        const ends = [nodeOf(world, source), nodeOf(world, destination)];
        return ends.includes(node) && ends[0] !== ends[1];
      }),
  };
}

export const flapTap: Action<{ vm: string; ms: number }> = {
  name: 'flap-tap',
  weight: 3,
  choose: (_, random) => ({ vm: random.pick(MOVING), ms: random.int(DOWN_MS) }),
  change: () => undefined,
  async run({ lab, before, doubt, excused }, { vm, ms }) {
    const id = interfaceOf(vm);
    const node = before.places[vm]!;
    const reason = `the tap of ${vm} is down`;
    doubt({ reason, touches: ({ destination }, source) => source === id || destination === id });
    const set = (state: string) => lab.exec(node, ['ip', 'link', 'set', lab.vm(vm).device, state]);
    await excused({ reason, hosts: [vm] }, async () => {
      await set('down');
      await sleep(ms);
      await set('up');
    });
  },
};

export const flapUnderlay: Action<{ node: string; ms: number }> = {
  name: 'flap-underlay',
  weight: 2,
  choose: (_, random) => ({ node: random.pick(NODES), ms: random.int(DOWN_MS) }),
  change: () => undefined,
  async run({ lab, before, doubt }, { node, ms }) {
    doubt(crossing(`the underlay of ${node} is down`, node, before));
    const set = (state: string) => lab.exec(node, ['ip', 'link', 'set', 'underlay0', state]);
    await set('down');
    await sleep(ms);
    await set('up');
  },
};

interface Mtu {
  node: string;
  mtu: number;
}

/**
 * The MTU of a node's underlay shrinks: frames that do not fit any more are truncated, and nothing
 * is fragmented.
 */
export const underlayMtu: Action<Mtu> = {
  name: 'underlay-mtu',
  weight: 2,
  choose(world, random) {
    const nodes = NODES.filter((node) => world.mtus[node] === undefined);
    return nodes.length === 0 ? undefined : { node: random.pick(nodes), mtu: random.pick(SMALL_MTUS) };
  },
  change(world, { node, mtu }) {
    world.mtus[node] = mtu;
    world.undo.push({ action: 'underlay-mtu-back', params: { node, mtu: 0 } });
  },
  run: setMtu,
};

export const underlayMtuBack: Action<Mtu> = {
  name: 'underlay-mtu-back',
  weight: 0,
  choose: () => undefined,
  change(world, { node }) {
    delete world.mtus[node];
  },
  run: setMtu,
};

async function setMtu({ lab, before, doubt }: Parameters<Action<Mtu>['run']>[0], { node, mtu }: Mtu) {
  const wanted = mtu || lab.topology.underlayMtu;
  doubt(crossing(`the underlay of ${node} gets MTU ${wanted}`, node, before));
  await lab.exec(node, ['ip', 'link', 'set', 'underlay0', 'mtu', String(wanted)]);
}

/** The identity of a VM's device is taken away: the interface has no device until it is back. */
export const hide: Action<{ vm: string }> = {
  name: 'remove-alias',
  weight: 2,
  choose(world, random) {
    const vms = MOVING.filter((vm) => !world.hidden.includes(vm) && !isClaimed(world, interfaceOf(vm)));
    return world.hidden.length > 1 ? undefined : { vm: random.pick(vms) };
  },
  change(world, { vm }) {
    world.hidden.push(vm);
    world.undo.push({ action: 'set-alias', params: { vm } });
  },
  run: ({ lab, before }, { vm }) => setAlias({ lab, before }, vm, ''),
};

export const show: Action<{ vm: string }> = {
  name: 'set-alias',
  weight: 0,
  choose: () => undefined,
  change(world, { vm }) {
    world.hidden = world.hidden.filter((other) => other !== vm);
  },
  run: ({ lab, before }, { vm }) => setAlias({ lab, before }, vm, identityAlias(lab.vm(vm))),
};

async function setAlias(
  { lab, before }: Pick<Parameters<Action<object>['run']>[0], 'lab' | 'before'>,
  vm: string,
  alias: string,
) {
  await lab.exec(before.places[vm]!, ['ip', 'link', 'set', lab.vm(vm).device, 'alias', alias]);
}

interface Port {
  node: string;
  name: string;
}

/** A bridge gets one more port. Nothing changes for other ports. */
export const addPort: Action<Port> = {
  name: 'add-bridge-port',
  weight: 2,
  choose: (_, random) => ({ node: random.pick(NODES), name: `port${random.int(1000)}` }),
  change(world, port) {
    world.undo.push({ action: 'remove-bridge-port', params: port });
  },
  async run({ lab }, { node, name }) {
    await lab.exec(node, ['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`]);
    await lab.exec(node, ['ip', 'link', 'set', `${name}p`, 'up']);
    await lab.exec(node, ['ip', 'link', 'set', name, 'master', 'br0', 'up']);
  },
};

export const removePort: Action<Port> = {
  name: 'remove-bridge-port',
  weight: 0,
  choose: () => undefined,
  change: () => undefined,
  async run({ lab }, { node, name }) {
    await lab.exec(node, ['ip', 'link', 'del', name]);
  },
};
