/** The live table: traffic runs until Ctrl-C, and its counts are shown every second. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Lab } from '../lab.ts';
import { ConsoleAddress } from './console-address.ts';
import { policyStatus } from './once.ts';
import type { Scenario } from './scenarios.ts';
import { table } from './table.ts';

/** Shows the table until the signal comes. */
export async function showLive(lab: Lab, scenarios: readonly Scenario[], signal: AbortSignal): Promise<void> {
  const traffic: ChildProcess[] = scenarios.map(({ from, to }) =>
    lab.spawn(from, ['ping', '-q', '-i', '0.02', lab.address(to)], { stdio: 'ignore' }),
  );
  const address = new ConsoleAddress(lab);
  let previous = new Map<string, number>();
  let at = performance.now();
  try {
    while (!signal.aborted) {
      const console = await address.line();
      const statuses = await Promise.all(scenarios.map(({ policy }) => policyStatus(lab, policy.name)));
      const seconds = (performance.now() - at) / 1000;
      at = performance.now();
      if (process.stdout.isTTY) {
        process.stdout.write('\x1b[2J\x1b[H');
      }
      process.stdout.write(
        `${console}\n${header(lab)}\n\n${live(statuses, previous, seconds)}\n\nCtrl-C removes everything.\n`,
      );
      previous = new Map(statuses.map((status) => [status.name, status.totals.copied.packets]));
      await sleep(1000, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    for (const child of traffic) {
      child.kill();
    }
  }
}

/** How to reach the lab from another terminal. */
export function header(lab: Lab): string {
  return [
    `Mirrorplane demo: lab ${lab.name}, ${lab.topology.nodes.length} nodes, API http://127.0.0.1:${lab.state.apiPort}/api/v1`,
    `In another terminal: export MIRRORPLANE_URL=unix:${lab.apiSocket} MIRRORPLANE_TOKEN_FILE=${lab.tokenFile}`,
    `                     bin/mirrorplane policy status --watch`,
  ].join('\n');
}

function live(statuses: readonly PolicyStatus[], previous: ReadonlyMap<string, number>, seconds: number): string {
  const rows = statuses.map(({ name, type, state, totals, delivered }) => {
    const before = previous.get(name);
    const rate = before === undefined ? '' : ((totals.copied.packets - before) / seconds).toFixed(0);
    const dropped = Object.values(totals.dropped).reduce((sum, count) => sum + count.packets, 0);
    return [
      name,
      type,
      state,
      totals.matched.packets,
      totals.copied.packets,
      dropped,
      delivered?.packets ?? 'unknown',
      rate,
    ];
  });
  return table(['POLICY', 'TYPE', 'STATE', 'MATCHED', 'COPIED', 'DROPPED', 'DELIVERED', 'COPIES/S'], rows);
}
