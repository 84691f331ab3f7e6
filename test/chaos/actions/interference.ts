/**
 * Other software changes the data plane of a node. It must be repaired, and programs of others must
 * stay.
 */
import { existsSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';

import { foreignObject } from '../../../packages/agent/test/kernel/support/foreign.ts';
import { bpffsOf, type Hooks, hooksOf, tcx } from '../tcx.ts';
import type { Doubt } from '../timeline.ts';
import { interfaceOf, MOVING, NODES, nodeOf, policiesWith, type World } from '../world.ts';
import type { Action } from './action.ts';

/** Within a second is what is promised; the rest is room for a loaded machine. */
const REPAIR_MS = 10_000;

/** VMs that an enabled policy captures now. */
function captured(world: World): string[] {
  return MOVING.filter((vm) => {
    const id = interfaceOf(vm);
    return policiesWith(world, id).some(
      ({ enabled, sources, destination }) =>
        enabled && sources.includes(id) && nodeOf(world, id) !== undefined && nodeOf(world, destination) !== undefined,
    );
  });
}

interface Target {
  vm: string;
  hook: 'ingress' | 'egress';
}

function chooseTarget(world: World, random: { pick<T>(list: readonly T[]): T }): Target | undefined {
  const vms = captured(world);
  return vms.length === 0 ? undefined : { vm: random.pick(vms), hook: random.pick(['ingress', 'egress'] as const) };
}

/**
 * Copies of the sources on a node: at one port of a bridge, `arrive` captures for others of them
 * too.
 */
function onNode(reason: string, node: string, world: World): Doubt {
  return { reason, touches: (_, source) => nodeOf(world, source) === node };
}

const linkFolder = (lab: Parameters<typeof bpffsOf>[0], node: string) => join(bpffsOf(lab, node), 'links');

/** Our programs are taken off a hook of a captured VM's device. */
export const detach: Action<Target> = {
  name: 'detach-programs',
  weight: 2,
  choose: chooseTarget,
  change: () => undefined,
  async run({ lab, before, doubt, healed }, { vm, hook }) {
    const node = before.places[vm]!;
    const { device } = lab.vm(vm);
    const { stdout } = await lab.exec(node, ['ip', '-json', 'link', 'show', 'dev', device]);
    const [{ ifindex }] = JSON.parse(stdout);
    const pins = readdirSync(linkFolder(lab, node)).filter((name) => name.startsWith(`${hook}-${ifindex}-`));
    if (pins.length === 0) {
      return;
    }
    doubt(onNode(`programs are taken off ${device}`, node, before));
    for (const pin of pins) {
      await tcx(lab, node, 'detach', join(linkFolder(lab, node), pin));
    }
    healed(`programs at ${hook} of ${device}`, async () => {
      const hooks = (await hooksOf(lab, node))[device];
      return hooks === undefined || hooks[hook].length >= pins.length;
    });
  },
};

/**
 * A foreign program is attached in front of ours, and ends the chain. It stays; ours comes first
 * again.
 */
export const attachBefore: Action<Target & { pin: string }> = {
  name: 'attach-foreign',
  weight: 2,
  choose(world, random) {
    const target = chooseTarget(world, random);
    return target && { ...target, pin: `foreign-${random.int(1_000_000)}` };
  },
  change(world, { pin }) {
    world.undo.push({ action: 'detach-foreign', params: { pin } });
  },
  async run({ lab, before, doubt, healed }, { vm, hook, pin }) {
    const node = before.places[vm]!;
    const { device } = lab.vm(vm);
    const ours = (await hooksOf(lab, node))[device]![hook];
    doubt(onNode(`a foreign program is at ${device}`, node, before));
    await tcx(lab, node, 'attach', foreignObject(), 'end_chain', device, hook, pinPath(lab.name, pin));
    const [theirs] = (await hooksOf(lab, node))[device]![hook];
    if (ours.length === 0) {
      return;
    }
    healed(`our programs first at ${hook} of ${device}`, async () => {
      const hooks: Hooks[string] | undefined = (await hooksOf(lab, node))[device];
      return hooks === undefined || !hooks[hook].includes(theirs!) || hooks[hook].at(-1) === theirs;
    });
  },
};

const pinPath = (lab: string, pin: string) => `/sys/fs/bpf/${lab}-${pin}`;

export const detachForeign: Action<{ pin: string }> = {
  name: 'detach-foreign',
  weight: 0,
  choose: () => undefined,
  change: () => undefined,
  async run({ lab }, { pin }) {
    unlinkSync(pinPath(lab.name, pin));
  },
};

/**
 * Pins are removed under a running agent, which holds what they named: nothing stops, and they come
 * back.
 */
export const removePins: Action<{ node: string; count: number }> = {
  name: 'remove-pins',
  weight: 2,
  choose(world, random) {
    // Without the agent, a pin is all that holds a link.
    const nodes = NODES.filter((node) => !world.down.includes(node));
    return nodes.length === 0 ? undefined : { node: random.pick(nodes), count: 1 + random.int(4) };
  },
  change: () => undefined,
  async run({ lab }, { node, count }) {
    const folder = linkFolder(lab, node);
    const pins = readdirSync(folder).sort().slice(0, count);
    for (const pin of pins) {
      unlinkSync(join(folder, pin));
    }
    const maps = join(bpffsOf(lab, node), 'maps', 'captures');
    unlinkSync(maps);
    // If the agent ended before, its links would end with it.
    await until(
      `pins of ${node} to come back`,
      () => [maps, ...pins.map((pin) => join(folder, pin))].every((path) => existsSync(path)),
      { limitMs: REPAIR_MS },
    );
  },
};

/** The helper device is deleted. It must be made again. */
export const deleteHelper: Action<{ node: string }> = {
  name: 'delete-mirror0',
  weight: 2,
  choose: (_, random) => ({ node: random.pick(NODES) }),
  change: () => undefined,
  async run({ lab, before, doubt, healed }, { node }) {
    const exists = async () => {
      const { stdout } = await lab.exec(node, ['ip', '-json', 'link', 'show', 'dev', 'mirror0'], { check: false });
      return stdout.trim() !== '' && (JSON.parse(stdout)[0]?.flags ?? []).includes('UP');
    };
    if (!(await exists())) {
      return;
    }
    doubt(onNode(`mirror0 of ${node} is deleted`, node, before));
    await lab.exec(node, ['ip', 'link', 'del', 'mirror0']);
    healed(`mirror0 of ${node}`, async () => {
      if (!(await exists())) {
        return false;
      }
      return (await hooksOf(lab, node)).mirror0!.egress.length > 0;
    });
  },
};
