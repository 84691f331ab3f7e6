/** Stands in for what opens a tunnel to the leader: it finds out whether a process listens there. */

import { simulation } from '../core/simulation.ts';
import type { Listener } from '../world/network.ts';
import { setTimeout as sleep } from './timers-promises.ts';

/** Milliseconds after which a host that does not answer is given up, as in the product. */
const CONNECT_MS = 400;

export interface Tunnel {
  to: Listener;
}

/** @throws Error if nobody listens there */
export async function openTunnel(leader: string): Promise<Tunnel> {
  const { network, scheduler } = simulation();
  const host = leader.split(':')[0]!;
  if (network.isCut(scheduler.current!.name, host)) {
    await sleep(CONNECT_MS);
    throw new Error(`${leader} does not answer`);
  }
  await sleep(1);
  const to = network.listenerOf(host);
  if (!to) {
    throw new Error('connect ECONNREFUSED');
  }
  return { to };
}
