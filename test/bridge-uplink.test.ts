/**
 * A mirror device that is a bridge over the NIC: service traffic is protected by the speed of the
 * NIC, or the node reports that it is not.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DeviceBudget } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, policyStatus, statusEventually } from './support/policy.ts';
import { PYTHON, type RunningPings, startPings } from './support/traffic.ts';

const lab = useLab({ nodes: 2, switch: false });
const PACED = join(import.meta.dirname, 'support/paced_udp.py');
const PORT = '9999';
const SHAPER = 'tbf rate 5mbit burst 4kb limit 32kb'.split(' ');
const POLICY = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };
const ip = (...argv: string[]) => lab().exec('node-1', ['ip', ...argv]);

/** The address of the underlay of a node, as 10.98.0.11/24. */
async function underlay(node: string): Promise<string> {
  const { stdout } = await lab().exec(node, ['ip', '-j', '-4', 'addr', 'show', 'underlay0']);
  const [{ local, prefixlen }] = JSON.parse(stdout)[0].addr_info;
  return `${local}/${prefixlen}`;
}

/** Renames the NIC. A bridge with its address gets the name that the agent uses. */
async function addBridge(): Promise<void> {
  await lab().stopAgent('node-1', 'SIGTERM');
  const address = await underlay('node-1');
  await ip('link', 'set', 'underlay0', 'down');
  await ip('link', 'set', 'underlay0', 'name', 'nic0');
  await ip('addr', 'del', address, 'dev', 'nic0');
  await ip('link', 'add', 'underlay0', 'mtu', '1600', 'type', 'bridge');
  await ip('link', 'set', 'nic0', 'master', 'underlay0', 'up');
  await ip('addr', 'add', address, 'dev', 'underlay0');
  await ip('link', 'set', 'underlay0', 'up');
  await lab().startAgent('node-1');
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), POLICY.name);
}
let pings: RunningPings | undefined;
after(() => pings?.stop());

/** Service traffic of node-1 to node-2 for some seconds: sent, and received. */
async function serve(seconds: number): Promise<{ sent: number; received: number }> {
  const receiver = lab().spawn('node-2', [PYTHON, PACED, 'receive', PORT, '3'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: receiver.stdout! }).on('line', (line) => lines.push(line));
  await once(reader, 'line');
  const [address = ''] = (await underlay('node-2')).split('/');
  const { stdout } = await lab().exec('node-1', [PYTHON, PACED, 'send', address, PORT, String(seconds)]);
  await once(reader, 'close');
  return { sent: Number(stdout), received: Number(lines.at(-1)) };
}

/** Codes of the problems of node-1. */
const problems = async (): Promise<string[]> =>
  (await lab().api('GET', '/api/v1/nodes/node-1')).body.problems.map(({ code }: { code: string }) => code);

test('copies that would fill the NIC below the bridge give way to service traffic, and the policy says so', async () => {
  await addBridge();
  await lab().exec('node-1', ['tc', 'qdisc', 'add', 'dev', 'nic0', 'root', ...SHAPER]);
  // Up to 20 Mbit/s of requests and replies, which are copied; half of that on a busy machine.
  pings = await startPings(lab(), 'web-1', 'web-2', 1_000_000, { size: 1400, interval: 0.001 });
  await statusEventually(lab(), POLICY.name, 'held back', ({ reasons }) =>
    reasons.some(({ code }) => code === 'UPLINK_BUSY'),
  );
  const before_ = (await policyStatus(lab(), POLICY.name)).totals.copied.packets;
  await until('the node shows what it leaves for copies', async () => {
    const { budgets } = (await lab().api('GET', '/api/v1/nodes/node-1')).body;
    return (budgets as DeviceBudget[]).some(({ device }) => device === 'underlay0');
  });
  const { sent, received } = await serve(8);
  assert.ok(sent > 1000, `${sent} sent`);
  assert.ok(received > 0.98 * sent, `${received} of ${sent} came through; without a budget it is seven tenths`);
  const { totals } = await policyStatus(lab(), POLICY.name);
  assert.ok(totals.copied.packets > before_, 'some copies are made all the while');
  assert.ok(!(await problems()).includes('UPLINK_UNPROTECTED'), 'the NIC has a queue');
});

test('without a speed and a queue below the bridge, the node says that nothing is protected, and no policy does', async () => {
  await lab().exec('node-1', ['tc', 'qdisc', 'del', 'dev', 'nic0', 'root']);
  const serving = serve(12);
  await until('the node says so', async () => (await problems()).includes('UPLINK_UNPROTECTED'), { limitMs: 20_000 });
  const { sent, received } = await serving;
  assert.equal(received, sent, 'nothing is shaped');
  const { reasons } = await policyStatus(lab(), POLICY.name);
  assert.ok(reasons.every(({ code }) => code !== 'UPLINK_UNPROTECTED'));
  const told = async () => (await lab().api('GET', '/api/v1/events?kind=nodeProblemBegan')).body.items;
  await until('it is an event', async () =>
    (await told()).some(({ code, object }: { code: string; object: { name: string } }) => {
      return code === 'UPLINK_UNPROTECTED' && object.name === 'node-1';
    }),
  );
});
