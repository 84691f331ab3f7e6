/** What a policy would make of the traffic of the last minute, held against what it then makes of it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Forecast } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { PYTHON } from './support/traffic.ts';

const PACED = join(import.meta.dirname, 'support/paced_udp.py');
/** Mbit/s of the uplink, which its agent is told too. */
const UPLINK = 20;
const lab = useLab({
  nodes: 2,
  switch: false,
  agentArguments: { 'node-1': ['--uplink-rate', String(UPLINK)] },
});
const POLICY = { name: 'foretold', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0' };
/** Packets after which the share that gives way is measured. */
const SETTLED = 15_000;
const MEASURED = 20_000;

async function forecastOf(policy: object): Promise<Forecast> {
  const { status, body } = await lab().api('POST', '/api/v1/forecasts', policy);
  assert.equal(status, 200, JSON.stringify(body));
  return body as Forecast;
}

test('foretells within 10 points the share of copies that gives way on an uplink of 20 Mbit/s', async () => {
  const qdisc = (...argv: string[]) => lab().exec('node-1', ['tc', 'qdisc', ...argv]);
  await qdisc('add', 'dev', 'underlay0', 'root', ...`tbf rate ${UPLINK}mbit burst 32kb limit 256kb`.split(' '));
  // Some 20 Mbit/s between two VMs of the node, both of which are sources. A budget holds 5 ms of its
  // rate: a sender that has to wait for its CPU sends bursts, of which more gives way.
  const argv = ['chrt', '--rr', '1', PYTHON, PACED, 'send', lab().address('web-2'), '9', '300', '2500'];
  const sender = lab().spawn('web-1', argv, { stdio: 'ignore' });
  try {
    let before = 0;
    const foretold = await until(
      'a minute of traffic to be known',
      async () => {
        const now = await forecastOf(POLICY);
        const grown = now.originals.bitsPerSecond - before;
        before = now.originals.bitsPerSecond;
        return now.seconds === 60 && now.unknownCount === 0 && Math.abs(grown) < 0.02 * before ? now : undefined;
      },
      { limitMs: 120_000, pauseMs: 3000 },
    );
    // Datagrams of 1,000 bytes with 42 bytes of headers, sent by one source and received by the other.
    const known = 2 * 2500 * 1042 * 8;
    const { bitsPerSecond } = foretold.originals;
    assert.ok(Math.abs(bitsPerSecond / known - 1) < 0.1, `${bitsPerSecond} bit/s instead of ${known}`);
    const [node] = foretold.nodes;
    assert.equal(foretold.nodes.length, 1);
    assert.deepEqual(
      [node?.node, node?.way, node?.uplink?.device, node?.uplink?.bitsPerSecond, node?.why],
      ['node-1', 'erspan', 'underlay0', UPLINK * 1e6, 'uplink'],
    );
    assert.ok(foretold.givesWay! > 0.05, `too little traffic to give way: ${JSON.stringify(foretold)}`);
    const quarter = await forecastOf({ ...POLICY, percent: 25 });
    assert.deepEqual([quarter.givesWay, quarter.nodes[0]?.why], [0, undefined], 'a quarter of it has room');
    // Not `withPolicy`: it waits for an active policy, and this one is throttled with its first copies.
    await createPolicy(lab(), POLICY);
    try {
      const past = (packets: number) =>
        statusEventually(
          lab(),
          POLICY.name,
          `${packets} packets`,
          ({ totals }) => totals.matched.packets >= packets,
          60_000,
        );
      const from = (await past(SETTLED)).totals;
      const to = (await past(from.matched.packets + MEASURED)).totals;
      const dropped = (to.dropped.overBudget?.packets ?? 0) - (from.dropped.overBudget?.packets ?? 0);
      const measured = dropped / (to.matched.packets - from.matched.packets);
      const said = `foretold ${foretold.givesWay}, measured ${measured.toFixed(4)}`;
      process.stderr.write(`${said}\n`);
      assert.ok(Math.abs(measured - foretold.givesWay!) < 0.1, said);
      const again = await until(
        'the copies to be known as its own',
        async () => {
          const now = await forecastOf(POLICY);
          return now.nodes[0]!.uplink!.shareBefore! > 0.5 ? now : undefined;
        },
        { limitMs: 60_000 },
      );
      assert.ok(
        Math.abs(again.givesWay! - foretold.givesWay!) < 0.1,
        `what it copies already is not counted twice: ${again.givesWay}`,
      );
    } finally {
      await deletePolicy(lab(), POLICY.name);
    }
  } finally {
    sender.kill('SIGKILL');
    await qdisc('del', 'dev', 'underlay0', 'root');
  }
});

test('says that the share is not known where no speed of the uplink is', async () => {
  const ways = await until(
    'the rates of db-1/0',
    async () => {
      const now = await forecastOf({ name: 'other', sources: ['db-1/0', 'gone/0'], destination: 'web-1/0' });
      return now.unknownCount === 1 ? now : undefined;
    },
    { limitMs: 30_000 },
  );
  assert.deepEqual(ways.unknown, [{ interface: 'gone/0', why: 'absent' }]);
  assert.deepEqual(
    ways.nodes.map(({ node, way, givesWay, why }) => [node, way, givesWay, why]),
    [['node-2', 'erspan', null, 'speedUnknown']],
  );
});
