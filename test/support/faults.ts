/** Faults between `web-1` on `node-1` and `db-1` on `node-2` of a lab, as operators meet them. */
import { join } from 'node:path';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from './traffic.ts';

/** How to make a fault, and to take it away. Scripts run in the namespace of the host. */
export interface Fault {
  host: string;
  up: string;
  down: string;
}

const TABLE = 'fault';
const TALK = join(import.meta.dirname, 'talk.py');
/** The port of the service on `db-1`, and one that nobody listens at. */
export const SERVICE = 5432;
export const NOBODY = 5433;

/** A rule of the bridge family that counts what it does. */
function rule(host: string, match: string, verdict: string): Fault {
  return {
    host,
    up: `nft -f - <<'EOF'\ntable bridge ${TABLE} {\nchain c { type filter hook forward priority 0; policy accept; ${match} counter ${verdict}; }\n}\nEOF\n`,
    down: `nft delete table bridge ${TABLE}\n`,
  };
}

/** One packet of twenty for the service is dropped. */
export const LOSS_MATCH = `ether type ip tcp dport ${SERVICE} numgen random mod 100 < 5`;

export const FAULTS = {
  lossAtReceiver: rule('node-2', LOSS_MATCH, 'drop'),
  lossAtSender: rule('node-1', LOSS_MATCH, 'drop'),
  rateLimit: rule('node-2', 'ether type ip ip protocol udp limit rate over 20/second burst 5 packets', 'drop'),
  /** The bridge family of this kernel may have no "reject"; netdev has one on most. */
  reset: {
    host: 'node-2',
    up: `nft -f - <<'EOF'\ntable netdev ${TABLE} {\nchain c { type filter hook ingress device "trunk0" priority 0; policy accept; tcp dport ${SERVICE} counter reject with tcp reset; }\n}\nEOF\n`,
    down: `nft delete table netdev ${TABLE}\n`,
  },
  shaper: {
    host: 'node-2',
    up: 'tc qdisc add dev tap-db-1 root tbf rate 800kbit burst 1600 limit 4000\n',
    down: 'tc qdisc del dev tap-db-1 root\n',
  },
  underlayMtu: {
    host: 'fabric',
    up: 'ip link set o-node-2 mtu 1000\n',
    down: 'ip link set o-node-2 mtu 1500\n',
  },
  cut: { host: 'fabric', up: 'ip link set o-node-2 down\n', down: 'ip link set o-node-2 up\n' },
} satisfies Record<string, Fault>;

/** Runs with a fault, which is taken away afterwards. */
export async function withFault<T>(lab: Lab, fault: Fault | undefined, run: () => Promise<T>): Promise<T> {
  if (fault === undefined) {
    return run();
  }
  const { host, up, down } = fault;
  await lab.exec(host, ['sh', '-eu'], { input: up });
  try {
    return await run();
  } finally {
    await lab.exec(host, ['sh', '-eu'], { input: down });
  }
}

/** Packets that the rule of a fault has counted. */
export async function countedByRule(lab: Lab, { host }: Fault): Promise<number> {
  const { stdout } = await lab.exec(host, ['nft', 'list', 'ruleset']);
  return Number(/counter packets (\d+)/.exec(stdout)?.[1]);
}

/** Packets that the queue of a device has dropped, as `tc -s` says. */
export async function droppedByQueue(lab: Lab, host: string, device: string): Promise<number> {
  const { stdout } = await lab.exec(host, ['tc', '-s', 'qdisc', 'show', 'dev', device]);
  return Number(/dropped (\d+)/.exec(stdout)?.[1]);
}

/** Packets that a device has refused because its ring was full, as `ip -s` says. */
export async function refusedByDevice(lab: Lab, host: string, device: string): Promise<number> {
  const { stdout } = await lab.exec(host, ['ip', '-s', '-j', 'link', 'show', 'dev', device]);
  return JSON.parse(stdout)[0].stats64.tx.dropped;
}

/**
 * The service on `db-1` runs as long as `run` does. Guests cut their packets themselves: rules and
 * tcpdump count super-packets as one.
 */
export async function withService<T>(lab: Lab, run: () => Promise<T>): Promise<T> {
  for (const guest of ['web-1', 'db-1']) {
    await lab.exec(guest, ['ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
  }
  const child = lab.spawn('db-1', [PYTHON, TALK, 'serve', String(SERVICE)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  try {
    return await run();
  } finally {
    child.kill('SIGKILL');
  }
}

/** `web-1` says something to the service, and gets it back. */
export async function say(lab: Lab, count: number, size: number, pause: number): Promise<void> {
  const argv = [PYTHON, TALK, 'say', lab.address('db-1'), String(SERVICE), String(count), String(size), String(pause)];
  await lab.exec('web-1', argv, { timeoutMs: 60_000 });
}

/** `web-1` asks for connections. Returns what came of it. */
export async function tryConnections(lab: Lab, port: number, count: number): Promise<Record<string, number>> {
  const argv = [PYTHON, TALK, 'try', lab.address('db-1'), String(port), String(count), '1.2'];
  return JSON.parse((await lab.exec('web-1', argv)).stdout);
}

/** `web-1` sends datagrams, paced: so many a second for some seconds. Returns how many it sent. */
export async function sendUdp(lab: Lab, seconds: number, perSecond: number, to = 'db-1'): Promise<number> {
  const script = join(import.meta.dirname, 'paced_udp.py');
  const argv = [PYTHON, script, 'send', lab.address(to), '9', String(seconds), String(perSecond)];
  return Number((await lab.exec('web-1', argv)).stdout);
}
