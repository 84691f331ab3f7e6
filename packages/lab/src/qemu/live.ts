/** Moves a running guest from one QEMU to another, on another node, as an orchestrator does it. */
import { rmSync } from 'node:fs';
import { until } from '@mirrorplane/base';
import { stopDaemon, waitReady } from '../daemons.ts';
import type { LabHandle } from '../lab-handle.ts';
import { nodeVmLines } from '../links.ts';
import type { MigrateOptions, MigrationTimes } from '../migrate.ts';
import { ipBatch, start } from '../netns.ts';

import { updateState } from '../state.ts';
import { identityAlias, type LabVm } from '../topology.ts';
import { machineName, machineSockets, startMachine } from './machine.ts';
import { Qmp, type QmpEvent } from './qmp.ts';

/** The longest pause of the guest while its last memory pages move, milliseconds. */
const DOWNTIME_LIMIT_MS = 50;
/** Bytes a second. In effect no limit. */
const BANDWIDTH_MAX = 2 ** 33;
/** Enough for a loaded machine. An idle one needs less than a second. */
const MOVE_MS = 60_000;

/**
 * Moves a QEMU guest to another node while it runs. First the tap on the new node is made, then
 * QEMU starts there, then the guest moves and announces itself to the network. Then QEMU and the
 * tap on the old node are removed. After a failure, the guest continues on the old node.
 */
export async function moveLive(
  lab: LabHandle,
  vm: LabVm,
  node: string,
  options: MigrateOptions = {},
): Promise<MigrationTimes> {
  const there = { ...vm, node };
  await ipBatch(lab.ns(node), nodeVmLines(there));
  const deviceAdded = Date.now();
  let moved: { stopped: number; resumed: number };
  try {
    moved = await switchOver(lab, vm, node, options);
  } catch (error) {
    await endMachine(lab, vm, node);
    throw error;
  }
  updateState(lab.runDir, (state) => {
    state.topology.vms = state.topology.vms.map((v) => (v.name === vm.name ? there : v));
  });
  try {
    await options.afterSwitchOver?.();
  } finally {
    await endMachine(lab, vm, vm.node);
  }
  return { deviceAdded, ...moved, deviceRemoved: Date.now() };
}

/** Ends the QEMU of a VM on a node, and removes its tap and its sockets. */
async function endMachine(lab: LabHandle, vm: LabVm, node: string): Promise<void> {
  await stopDaemon(lab, machineName(vm.name, node), 'SIGTERM');
  await ipBatch(lab.ns(node), [`link delete ${vm.device}`]);
  for (const socket of Object.values(machineSockets(lab, vm.name, node))) {
    rmSync(socket, { force: true });
  }
}

async function switchOver(lab: LabHandle, vm: LabVm, node: string, options: MigrateOptions) {
  const [from, to] = [machineSockets(lab, vm.name, vm.node), machineSockets(lab, vm.name, node)];
  const record = startMachine(lab, vm, node, true);
  let answer: Qmp | undefined;
  // The socket is there some time before QEMU listens.
  await waitReady(record, `QEMU on ${node}`, async () => {
    answer = await Qmp.connect(to.qmp);
    return true;
  });
  const target = answer!;
  const source = await Qmp.connect(from.qmp).catch((error: unknown) => {
    target.close();
    throw error;
  });
  const tellGuest = guestTeller(lab, vm);
  source.onEvent = ({ event }) => {
    // As libvirt and others do: from this moment on the guest is no longer behind this device.
    if (event === 'STOP') {
      tellGuest.absent();
    }
  };
  try {
    const uri = `unix:${to.incoming}`;
    const capabilities = [{ capability: 'events', state: true }];
    for (const qmp of [source, target]) {
      await qmp.execute('migrate-set-capabilities', { capabilities });
    }
    await source.execute('migrate-set-parameters', {
      'max-bandwidth': BANDWIDTH_MAX,
      'downtime-limit': DOWNTIME_LIMIT_MS,
    });
    await target.execute('migrate-incoming', { uri });
    await options.beforeSwitchOver?.();
    await source.execute('migrate', { uri });
    return await completion(source, target);
  } catch (error) {
    // After any failure: unless the guest has moved, it continues here.
    await source.execute('cont').catch(() => undefined);
    tellGuest.back();
    throw error;
  } finally {
    tellGuest.close();
    source.close();
    target.close();
  }
}

/**
 * Writes in the alias of a VM's device whether the guest is there. `ip` is started in advance and
 * waits for input, because its start takes time.
 */
function guestTeller(lab: LabHandle, vm: LabVm) {
  const ip = start(['ip', '-n', lab.ns(vm.node), '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const say = (alias: string) => ip.stdin?.write(`link set ${vm.device} alias "${alias}"\n`);
  ip.stdin?.on('error', () => undefined);
  return {
    absent: () => say(identityAlias(vm, 'absent')),
    back: () => say(identityAlias(vm)),
    close: () => ip.stdin?.end(),
  };
}

/** Waits until the guest runs at the target. Throws if QEMU gives up. */
async function completion(source: Qmp, target: Qmp): Promise<{ stopped: number; resumed: number }> {
  const last = (qmp: Qmp, event: string): QmpEvent | undefined => qmp.events.findLast((e) => e.event === event);
  const is = (qmp: Qmp, status: string) => qmp.events.some((e) => e.event === 'MIGRATION' && e.data.status === status);
  await until(
    'live migration',
    async () => {
      if (is(source, 'failed') || is(target, 'failed')) {
        const answer = (await source.execute('query-migrate')) as { 'error-desc'?: string };
        throw new Error(`live migration: ${answer['error-desc'] ?? 'QEMU on the new node has given up'}`);
      }
      return is(source, 'completed') && last(target, 'RESUME') !== undefined;
    },
    { limitMs: MOVE_MS },
  );
  return { stopped: last(source, 'STOP')?.at ?? Number.NaN, resumed: last(target, 'RESUME')?.at ?? Number.NaN };
}
