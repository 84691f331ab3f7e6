/**
 * False claims: a guest with addresses of others in its frames, a device with another interface's
 * identity.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { identityAlias } from '@mirrorplane/lab';
import { PYTHON } from '../../support/traffic.ts';
import { SPOOFED } from '../flows.ts';
import { sendSome } from '../traffic.ts';
import { type Claim, interfaceOf, MOVING, NODES, policiesWith } from '../world.ts';
import type { Action } from './action.ts';

/**
 * Frames of an EtherType for experiments (RFC 5342, appendix B.2) while the device exists, for at
 * most a minute. They make the claimed guest seem to run here.
 */
const SPEAK = [
  'import socket, sys, time',
  's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)',
  's.bind((sys.argv[1], 0))',
  'for _ in range(300):',
  '    try:',
  "        s.send(b'\\xff' * 6 + bytes([2, 0, 0, 0, 0, 99]) + b'\\x88\\xb6' + bytes(46))",
  '    except OSError:',
  '        break',
  '    time.sleep(0.2)',
].join('\n');

/** Frames that one step sends at most, so that no number comes twice. */
const MOST_FRAMES = 1000;
/** Milliseconds in which every guest sends on each of its flows. */
const LEARN_MS = 200;

/**
 * A guest sends frames with the MAC and IP address of another one. They are copied as what they
 * are: its own.
 */
export const spoof: Action<{ flow: number; first: number }> = {
  name: 'spoof',
  weight: 3,
  choose: ({ spoofCount }, random) => ({ flow: random.pick(SPOOFED).id, first: spoofCount * MOST_FRAMES }),
  change(world) {
    world.spoofCount++;
  },
  run: async ({ lab, run, excused }, { flow: id, first }) => {
    const flow = SPOOFED.find((one) => one.id === id)!;
    // Bridges send what is for the other one to the impostor, until they have seen a frame of the
    // other one again.
    await excused({ reason: `${flow.from} sends as ${flow.as}`, hosts: [flow.as!] }, async () => {
      await sendSome(lab, run, flow, first);
      await sleep(LEARN_MS);
    });
  },
};

/**
 * A device of another node says to be a VM that is elsewhere, and speaks up. The VM's own node
 * keeps it, and all that comes of it.
 */
export const claim: Action<Claim> = {
  name: 'claim',
  weight: 3,
  choose(world, random) {
    // The node that has the interface must be connected all the time. Otherwise the next claiming
    // node gets it.
    if (world.down.length > 0 || world.claimed.length > 0) {
      return undefined;
    }
    const vms = MOVING.filter((vm) => !world.hidden.includes(vm) && policiesWith(world, interfaceOf(vm)).length > 0);
    if (vms.length === 0) {
      return undefined;
    }
    const vm = random.pick(vms);
    const node = random.pick(NODES.filter((name) => name !== world.places[vm]));
    return { vm, node, device: `claim${random.int(1000)}` };
  },
  change(world, params) {
    world.claimed.push(params);
    world.undo.push({ action: 'end-claim', params });
  },
  async run({ lab }, { vm, node, device }) {
    const ip = (...args: string[]) => lab.exec(node, ['ip', ...args]);
    await ip('link', 'add', device, 'type', 'veth', 'peer', 'name', `${device}p`);
    await ip('link', 'set', device, 'alias', identityAlias(lab.vm(vm)));
    await ip('link', 'set', device, 'up');
    await ip('link', 'set', `${device}p`, 'up');
    lab.spawn(node, [PYTHON, '-c', SPEAK, `${device}p`], { stdio: 'ignore' });
  },
};

export const endClaim: Action<Claim> = {
  name: 'end-claim',
  weight: 0,
  choose: () => undefined,
  change(world, { vm }) {
    world.claimed = world.claimed.filter((other) => other.vm !== vm);
  },
  async run({ lab }, { node, device }) {
    await lab.exec(node, ['ip', 'link', 'del', device]);
  },
};
