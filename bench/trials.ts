/**
 * What the kernel calls take that a copy needs, without anything else: programs of trial.bpf.c in the
 * place of ours. What is between such a variant and the mirror of the same kind is what our programs
 * can still gain.
 */
import { execFileSync } from 'node:child_process';
import { machine } from 'node:os';
import { join } from 'node:path';
import type { ProgramAt } from './attached.ts';
import { type Bed, DESTINATION_NODE, LOCAL_DESTINATION, REMOTE_DESTINATION, SOURCE, SOURCE_NODE } from './bed.ts';
import type { NodeDatapath } from './node-datapath.ts';
import { ERSPAN_1500, LOCAL, SESSION, senderAlone, startMirred, stopMirred, type Variant } from './variants.ts';

/** The helper device, at whose egress copies are wrapped. */
const HELPER = 'mirror0';
const UNDERLAY = 'underlay0';

/** What the programs are compiled with. Devices that a variant does not use are 0. */
interface Constants {
  /** Where a clone is sent: ifindex. */
  to?: number;
  /** By which device a wrapped copy leaves: ifindex. */
  out?: number;
}

/** Compiles the programs. Returns the path of the object file. @throws Error where there is no clang */
async function compiled(bed: Bed, name: string, { to = 0, out = 0 }: Constants): Promise<string> {
  const number = (node: string) =>
    bed.lab
      .node(node)
      .underlayAddress.split('.')
      .reduce((sum, part) => sum * 256 + Number(part), 0);
  const bytes = async (node: string) => (await bed.mac(node, UNDERLAY)).split(':').map((byte) => `0x${byte}`);
  const constants = {
    TO: to,
    OUT: out,
    SOURCE: number(SOURCE_NODE),
    DESTINATION: number(DESTINATION_NODE),
    SESSION,
    ADDRESSES: [...(await bytes(DESTINATION_NODE)), ...(await bytes(SOURCE_NODE))],
  };
  const path = join(bed.folder, `${name}.o`);
  const defined = Object.entries(constants).map(([key, value]) => `-D${key}=${value}`);
  const options = ['-O2', '-g', '-Wall', '-target', 'bpf', '-mcpu=v3', `-I/usr/include/${machine()}-linux-gnu`];
  execFileSync('clang', [...options, ...defined, '-c', join(import.meta.dirname, 'trial.bpf.c'), '-o', path]);
  return path;
}

async function attach(bed: Bed, node: NodeDatapath, constants: Constants, programs: ProgramAt[]): Promise<void> {
  const name = node === bed.source ? 'trial-source' : 'trial-destination';
  await node.attach(await compiled(bed, name, constants), programs);
}

/** A program at both hooks of the mirrored device: what it sends, and what it receives. */
async function atSource(bed: Bed, program: string): Promise<ProgramAt[]> {
  const ifindex = await bed.ifindex(SOURCE_NODE, bed.lab.vm(SOURCE).device);
  return (['ingress', 'egress'] as const).map((hook) => ({ program, ifindex, hook }));
}

/** `bpf_clone_redirect`. */
export const TRIAL_LOCAL: Variant = {
  name: 'trial-local',
  title: 'local mirror, necessary calls',
  destination: LOCAL.destination!,
  async start(bed) {
    const to = await bed.ifindex(SOURCE_NODE, bed.lab.vm(LOCAL_DESTINATION).device);
    await attach(bed, bed.source, { to }, await atSource(bed, 'copy'));
  },
  stop: (bed) => bed.source.detach(),
};

/** How the sending node's part begins: what copies into the helper device. */
async function startSender(bed: Bed, copies: 'by the program' | 'by mirred'): Promise<void> {
  const to = await bed.ifindex(SOURCE_NODE, HELPER);
  const out = await bed.ifindex(SOURCE_NODE, UNDERLAY);
  const wrap: ProgramAt = { program: 'wrap', ifindex: to, hook: 'egress' };
  const copy = copies === 'by the program' ? await atSource(bed, 'copy') : [];
  await bed.setUnderlayMtu(1500);
  await attach(bed, bed.source, { to, out }, [wrap, ...copy]);
  if (copies === 'by mirred') {
    await startMirred(bed, HELPER);
  }
}

/** The receiving node's part: strips, and sends a clone into the destination. */
async function startReceiver(bed: Bed): Promise<void> {
  const to = await bed.ifindex(DESTINATION_NODE, bed.lab.vm(REMOTE_DESTINATION).device);
  const ifindex = await bed.ifindex(DESTINATION_NODE, UNDERLAY);
  await attach(bed, bed.destination, { to }, [{ program: 'unwrap', ifindex, hook: 'ingress' }]);
}

/** Sender: `bpf_clone_redirect`, `bpf_skb_adjust_room`, headers, `bpf_redirect`. */
export const TRIAL_ERSPAN: Variant = {
  name: 'trial-erspan',
  title: 'ERSPAN, necessary calls',
  destination: ERSPAN_1500.destination!,
  async start(bed) {
    await startReceiver(bed);
    await startSender(bed, 'by the program');
  },
  async stop(bed) {
    await bed.source.detach();
    await bed.destination.detach();
  },
};
export const TRIAL_SENDER = senderAlone({
  ...TRIAL_ERSPAN,
  start: (bed) => startSender(bed, 'by the program'),
  stop: (bed) => bed.source.detach(),
});

/** As the sender, but mirred makes the clone: it does not copy the head of the original. */
export const TRIAL_MIRRED_SENDER = senderAlone({
  ...TRIAL_ERSPAN,
  name: 'trial-mirred-erspan',
  title: 'ERSPAN, mirred in the place of bpf_clone_redirect',
  start: (bed) => startSender(bed, 'by mirred'),
  async stop(bed) {
    await stopMirred(bed);
    await bed.source.detach();
  },
});

/**
 * As the sender, without the helper device: the clone is wrapped where it leaves. Each packet of the
 * node by that device then passes the program.
 */
export const TRIAL_DIRECT_SENDER = senderAlone({
  ...TRIAL_ERSPAN,
  name: 'trial-direct-erspan',
  title: 'ERSPAN, without the helper device',
  async start(bed) {
    const to = await bed.ifindex(SOURCE_NODE, UNDERLAY);
    await bed.setUnderlayMtu(1500);
    const wrap: ProgramAt = { program: 'wrap_here', ifindex: to, hook: 'egress' };
    await attach(bed, bed.source, { to }, [wrap, ...(await atSource(bed, 'copy_marked'))]);
  },
  stop: (bed) => bed.source.detach(),
});

/** A mirror of ours, and the trial that has only its calls. */
export const PAIRS = [
  [LOCAL, TRIAL_LOCAL],
  [senderAlone(ERSPAN_1500), TRIAL_SENDER],
  [ERSPAN_1500, TRIAL_ERSPAN],
] as const;
