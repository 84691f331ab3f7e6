/**
 * Time to attach 1024 captures of both directions on one node, to apply the same state again, and
 * to detach all.
 */
import type { DatapathState, HookCapture } from '@mirrorplane/agent/testing';
import { createLab, type Lab } from '@mirrorplane/lab';
import { NOTHING, NodeDatapath } from '../node-datapath.ts';
import { type Row, row } from '../row.ts';

const NODE = 'node-1';
/** As many as a policy may have sources. */
const SOURCES = 1024;

/**
 * A round may take a minute, and the kernel holds its lock on network configuration meanwhile. So
 * only the needed number of rounds is run.
 */
const LEAST_ROUNDS = 3;
const BUDGET_MS = 60_000;

/** Makes a lab of one node with 1025 devices, and always removes it afterwards. */
export async function measureAttach(
  labName: string,
  signal: AbortSignal,
  rounds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  let lab: Lab | undefined;
  let datapath: NodeDatapath | undefined;
  try {
    lab = await createLab({
      name: labName,
      bare: true,
      switch: false,
      nodes: 1,
      namedVms: false,
      devicesPerNode: SOURCES + 1,
      signal,
    });
    datapath = await NodeDatapath.open(lab, NODE);
    const state = await captureAll(lab);
    const times = { attach: [] as number[], again: [] as number[], detach: [] as number[] };
    const start = performance.now();
    for (let round = 1; round <= rounds; round++) {
      signal.throwIfAborted();
      if (round > LEAST_ROUNDS && performance.now() - start > BUDGET_MS) {
        break;
      }
      onRound(round);
      const attach = await datapath.apply(state);
      // Both directions of each source, and in the first round the helper device's program.
      expect(attach.result.attached >= 2 * SOURCES, 'not everything was attached');
      const again = await datapath.apply(state);
      expect(again.result.attached + again.result.detached + again.result.written === 0, 'a no-op was none');
      const detach = await datapath.apply(NOTHING);
      expect(detach.result.detached === 2 * SOURCES, 'not everything was detached');
      times.attach.push(attach.milliseconds);
      times.again.push(again.milliseconds);
      times.detach.push(detach.milliseconds);
    }
    return Object.entries(times).map(([step, values]) => row(`attach/${SOURCES}-sources/${step}`, 'ms', values));
  } finally {
    await datapath?.close();
    await lab?.down();
  }
}

function expect(condition: boolean, problem: string): void {
  if (!condition) {
    throw new Error(`attach: ${problem}`);
  }
}

/** All devices but the last into the last. */
async function captureAll(lab: Lab): Promise<DatapathState> {
  const { stdout } = await lab.exec(NODE, ['ip', '-json', 'link']);
  const ifindexes = new Map(
    (JSON.parse(stdout) as { ifname: string; ifindex: number }[]).map((l) => [l.ifname, l.ifindex]),
  );
  const devices = lab.topology.vms.map((vm) => ({ source: vm.id, ifindex: ifindexes.get(vm.device)! }));
  const destination = devices.pop()!;
  const directions = [
    { direction: 'outbound', hook: 'ingress' },
    { direction: 'inbound', hook: 'egress' },
  ] as const;
  const captures = devices.flatMap(({ source, ifindex }, sourceSlot) =>
    directions.map(
      ({ direction, hook }): HookCapture => ({
        id: `bench/${source}/${direction}`,
        policy: 'bench',
        source,
        direction,
        ifindex,
        hook,
        threshold: 2 ** 32,
        skipVlanId: 0,
        sourceSlot,
        delivery: 'bench',
      }),
    ),
  );
  return {
    captures,
    deliveries: [{ id: 'bench', policy: 'bench', kind: 'local', ifindex: destination.ifindex, mtu: 1500 }],
    terminations: [],
    mirrorDevice: 0,
  };
}
