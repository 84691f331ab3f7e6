/** VMs move from node to node, with a gap or without. */
import { interfaceOf, isClaimed, MOVING, NODES } from '../world.ts';
import type { Action } from './action.ts';

interface Move {
  vm: string;
  node: string;
  /** The device on the new node appears before the device on the old node is removed. */
  overlap: boolean;
}

export const migrate: Action<Move> = {
  name: 'migrate',
  weight: 8,
  choose(world, random) {
    const vm = random.pick(MOVING);
    // A device on its way has an identity again.
    if (world.hidden.includes(vm)) {
      return undefined;
    }
    // A node that gives up an interface that another node claims does not get it back.
    if (isClaimed(world, interfaceOf(vm))) {
      return undefined;
    }
    const node = random.pick(NODES.filter((name) => name !== world.places[vm]));
    return { vm, node, overlap: random.chance(0.5) };
  },
  change(world, { vm, node }) {
    world.places[vm] = node;
  },
  async run({ lab, doubt, excused }, { vm, node, overlap }) {
    const id = interfaceOf(vm);
    const reason = `${vm} moves to ${node}`;
    doubt({ reason, touches: ({ destination }, source) => source === id || destination === id });
    await excused({ reason, hosts: [vm] }, async () => {
      await lab.migrate(vm, node, { overlap });
    });
  },
};
