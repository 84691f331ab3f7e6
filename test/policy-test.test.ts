/**
 * `policy test`: probes of each policy type are seen at the destination alone, change no books, and
 * say where and from which size on copies die.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyInput, PolicyTest, PolicyTestRow } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  createPolicy,
  deletePolicy,
  policyStatus,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { assertSilent, framesOf, type Tap, watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

/** Bytes. Whole copies of frames of an MTU of 1500 need 1550. */
const UNDERLAY_MTU = 1600;

const COMMAND = join(import.meta.dirname, '..', 'bin', 'mirrorplane');

const lab = useLab({ underlayMtu: UNDERLAY_MTU });

/** The audit log sums the refusals of who is refused more than 100 times: tries are not for nothing. */
const SPARING = { pauseMs: 500 };

/** Tests a policy, once the pause after the last test is over. */
function testPolicy(name: string): Promise<PolicyTest> {
  const once = async (): Promise<PolicyTest | undefined> => {
    const { status, body } = await lab().api('POST', `/api/v1/policies/${name}/test`);
    assert.ok(status === 200 || body.code === 'TESTS_EXCEEDED', JSON.stringify(body));
    return status === 200 ? body : undefined;
  };
  return until('a test of the policy', once, SPARING);
}

const numbers = ({ size, made, sent, arrived, delivered, outcome }: PolicyTestRow) =>
  [size, made, sent, arrived, delivered, outcome] as const;
const verdicts = ({ rows }: PolicyTest) => rows.map(({ size, outcome, place, code }) => [size, outcome, place, code]);

/** Segments of a super-packet of 64 KiB, of 1460 bytes each. */
const SEGMENTS = Math.ceil(65_495 / 1460);
const ALL_THERE = [
  ['small', 1, 1, 1, 1, 'delivered'],
  ['full', 1, 1, 1, 1, 'delivered'],
  ['super', SEGMENTS, SEGMENTS, SEGMENTS, SEGMENTS, 'delivered'],
];

interface Case {
  title: string;
  policy: Omit<PolicyInput, 'name'>;
  destination: Tap;
  /** Who must see nothing. */
  others: Record<string, Tap>;
  from: string;
  to: string;
}

const GUESTS = { web: { host: 'web-1' }, web2: { host: 'web-2' }, db: { host: 'db-1' }, app: { host: 'app-1' } };

const CASES: Case[] = [
  {
    title: 'virtual on one node',
    policy: { sources: ['web-1/0'], destination: 'fw-1/0' },
    destination: { host: 'fw-1' },
    others: { ...GUESTS, underlay: { host: 'node-1', device: 'underlay0', filter: 'proto gre' } },
    from: 'node-1',
    to: 'node-1',
  },
  {
    title: 'virtual across nodes',
    policy: { sources: ['web-1/0'], destination: 'ids-1/0', percent: 0 },
    destination: { host: 'ids-1' },
    others: GUESTS,
    from: 'node-1',
    to: 'node-2',
  },
  {
    title: 'virtual to physical',
    policy: { sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 },
    destination: { host: 'mon-sw' },
    others: { ...GUESTS, other: { host: 'mon-200' } },
    from: 'node-2',
    to: 'node-1',
  },
  {
    title: 'physical',
    policy: { sources: ['edge-1'], destination: 'edge-1b', vlanId: 200 },
    destination: { host: 'mon-200' },
    others: { ...GUESTS, other: { host: 'mon-sw' }, gateway: { host: 'pgw-1' } },
    from: 'node-1',
    to: 'node-1',
  },
];

/** Frames of probes: their addresses begin with 02:4d:50. */
const PROBES = 'ether[0:2] = 0x024d and ether[2] = 0x50 and ether[6:2] = 0x024d and ether[8] = 0x50';

test('an edge on the spare NIC of node-1 is declared for the physical policy', async () => {
  const edge = { node: 'node-1', device: 'edge1', allowedVlans: [100, 200, 300] };
  const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1b', { kind: 'edge', edge });
  assert.equal(status, 201, JSON.stringify(body));
});

for (const { title, policy, destination, others, from, to } of CASES) {
  test(`${title}: copies of every size reach the destination and nobody else, and no books change`, async () => {
    const name = title.replace(/[^a-z]+/g, '-');
    await withPolicy(lab(), { name, ...policy }, async () => {
      const before = await statusEventually(
        lab(),
        name,
        'counters of all nodes',
        ({ delivered, paths }) => delivered !== null && paths.every(({ received, sent }) => received && sent),
      );
      let result: PolicyTest | undefined;
      const filtered = Object.entries(others).map(([key, tap]) => [key, { filter: PROBES, ...tap }]);
      const taps: Record<string, Tap> = {
        destination: { filter: PROBES, snapLength: 70_000, bufferKiB: 65_536, ...destination },
        ...Object.fromEntries(filtered),
      };
      const seen = await watch(lab(), taps, async (captures) => {
        result = await testPolicy(name);
        await captures.destination!.waitFor(3);
      });
      const { destination: got, ...silent } = seen;
      assertSilent(silent);
      assert.deepEqual(result!.rows.map(numbers), ALL_THERE);
      assert.deepEqual([result!.outcome, result!.rows[0]!.node, result!.rows[0]!.to], ['delivered', from, to]);
      const [frames] = await framesOf(got!);
      assert.ok(frames!.length >= 3);
      assert.ok(frames!.every((frame) => frame.startsWith('024d50')));
      // A second of counters, so that a change of the books would be there.
      await until('newer counters', async () => (await policyStatus(lab(), name)).countersAt! > before.countersAt!);
      const after = await policyStatus(lab(), name);
      if (!policy.sources[0]!.startsWith('edge')) {
        assert.deepEqual([after.totals, after.delivered, after.paths], [before.totals, before.delivered, before.paths]);
      }
      assert.deepEqual([after.state, after.lost], ['active', before.lost]);
    });
  });
}

/** Runs the command as an operator would, again while the policy was tested a moment ago. */
async function command(...args: string[]): Promise<{ code: number | null; stdout: string }> {
  const env = {
    PATH: process.env.PATH,
    MIRRORPLANE_URL: `unix:${lab().apiSocket}`,
    MIRRORPLANE_TOKEN_FILE: lab().tokenFile,
  };
  let result = { code: null as number | null, stdout: '', stderr: '' };
  await until('the end of the pause', async () => {
    const child = spawn(COMMAND, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    result = { code: (await closed)[0], stdout, stderr };
    return !stderr.includes('TESTS_EXCEEDED');
  });
  return result;
}

/** Runs `work` with a fault, and heals it whatever happened. */
async function withFault(host: string, make: string, heal: string, work: () => Promise<void>): Promise<void> {
  await lab().exec(host, ['sh', '-c', make]);
  try {
    await work();
  } finally {
    await lab().exec(host, ['sh', '-c', heal]);
  }
}

test('faults are named with the size at which they begin', async (t) => {
  const name = 'faults';
  await createPolicy(lab(), { name, sources: ['web-1/0'], destination: 'ids-1/0' });
  try {
    await activeEventually(lab(), name);
    assert.equal((await testPolicy(name)).outcome, 'delivered');

    await t.test('an underlay of MTU 1500: full frames are cut, and a super-packet has smaller segments', async () => {
      const set = (mtu: number) => `ip link set underlay0 mtu ${mtu}`;
      await withFault('node-2', set(1500), set(UNDERLAY_MTU), async () => {
        await until('the smaller MTU in the program', async () => {
          const { outcome } = await testPolicy(name);
          return outcome === 'cut';
        });
        const result = await testPolicy(name);
        assert.deepEqual(verdicts(result), [
          ['small', 'delivered', undefined, undefined],
          ['full', 'cut', 'source', 'PROBE_CUT'],
          ['super', 'delivered', undefined, undefined],
        ]);
        assert.deepEqual(result.rows[1]!.params, { length: 1514, needed: 1550, mtu: 1500 });
        assert.ok(result.rows[2]!.sent! > SEGMENTS);
      });
      await until('the larger MTU in the program', async () => (await testPolicy(name)).outcome === 'delivered');
    });

    await t.test('a network that carries less than the mirror devices send: from full frames on', async () => {
      const set = (mtu: number) => `ip link set u-node-1 mtu ${mtu} && ip link set u-node-2 mtu ${mtu}`;
      const segment = (on: 'on' | 'off') => lab().exec('node-1', ['ethtool', '-K', 'underlay0', 'tso', on, 'gso', on]);
      await segment('off');
      await withFault('fabric', set(1500), set(UNDERLAY_MTU), async () => {
        const result = await testPolicy(name);
        assert.deepEqual(verdicts(result), [
          ['small', 'delivered', undefined, undefined],
          ['full', 'died', 'way', 'PROBE_LOST_BY_SIZE'],
          ['super', 'died', 'way', 'PROBE_LOST_BY_SIZE'],
        ]);
        assert.deepEqual(result.rows[1]!.params, { length: 1514, from: 'node-1', to: 'node-2', packet: 1550 });
      }).finally(() => segment('on'));
    });

    await t.test('the command says so, and exits with 12', async () => {
      const passed = await command('policy', 'test', name, '-o', 'json');
      assert.deepEqual([passed.code, JSON.parse(passed.stdout).outcome], [0, 'delivered']);
      await withFault('node-2', 'ip link set tap-ids-1 down', 'ip link set tap-ids-1 up', async () => {
        const { code, stdout } = await command('policy', 'test', name);
        assert.equal(code, 12, stdout);
        assert.match(stdout, /small .* died on the destination's node/);
        assert.match(stdout, /PROBE_DESTINATION_DOWN: .*"ids-1\/0" on node "node-2"/);
      });
    });

    await t.test('an underlay that drops GRE: every size', async () => {
      const drop = [
        'add table netdev probe',
        'add chain netdev probe in { type filter hook ingress device "u-node-1" priority 0; }',
        'add rule netdev probe in ip protocol 47 counter drop',
      ].map((line) => `nft '${line}'`);
      await withFault('fabric', drop.join(' && '), 'nft delete table netdev probe', async () => {
        const result = await testPolicy(name);
        assert.deepEqual(
          verdicts(result),
          ['small', 'full', 'super'].map((size) => [size, 'died', 'way', 'PROBE_LOST']),
        );
        assert.match(result.rows[0]!.message!, /protocol 47/);
        const { stdout } = await lab().exec('fabric', ['nft', 'list', 'table', 'netdev', 'probe']);
        assert.match(stdout, /counter packets [1-9]/);
      });
    });

    await t.test('a destination that is down: every size', async () => {
      await withFault('node-2', 'ip link set tap-ids-1 down', 'ip link set tap-ids-1 up', async () => {
        const result = await testPolicy(name);
        assert.deepEqual(
          verdicts(result),
          ['small', 'full', 'super'].map((size) => [size, 'died', 'destination', 'PROBE_DESTINATION_DOWN']),
        );
      });
    });

    await t.test('a destination of MTU 1400: from full frames on, and TCP is cut to it', async () => {
      const set = (mtu: number) => `ip link set tap-ids-1 mtu ${mtu}`;
      await withFault('node-2', set(1400), set(1500), async () => {
        await until('the MTU in the program', async () => (await testPolicy(name)).outcome === 'died');
        const result = await testPolicy(name);
        assert.deepEqual(verdicts(result), [
          ['small', 'delivered', undefined, undefined],
          ['full', 'died', 'destination', 'PROBE_TOO_BIG'],
          ['super', 'delivered', undefined, undefined],
        ]);
        assert.deepEqual(result.rows[1]!.params, {
          length: 1514,
          destination: 'ids-1/0',
          node: 'node-2',
          needed: 1500,
        });
      });
      await until('the old MTU in the program', async () => (await testPolicy(name)).outcome === 'delivered');
    });

    await t.test('a stopped agent of the receiver: unknown, not lost; copies still flow', async () => {
      const { pid } = lab().state.processes.find((process) => process.name === 'agent-node-2')!;
      process.kill(pid, 'SIGSTOP');
      try {
        const result = await testPolicy(name);
        assert.deepEqual(
          verdicts(result),
          ['small', 'full', 'super'].map((size) => [size, 'unknown', undefined, 'PROBE_UNKNOWN']),
        );
        assert.deepEqual(result.rows.map(numbers)[0], ['small', 1, 1, null, null, 'unknown']);
        const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
          await ping(lab(), 'web-1', 'web-2', 2);
          await captures.destination.waitFor(4);
        });
        assert.equal(seen.destination.packets, 4);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await until('an answer of the agent', async () => (await testPolicy(name)).outcome === 'delivered');
    });

    await t.test('a stopped agent of the sender: unknown', async () => {
      await lab().stopAgent('node-1');
      try {
        const result = await testPolicy(name);
        assert.deepEqual(
          verdicts(result),
          ['small', 'full', 'super'].map((size) => [size, 'unknown', undefined, 'NODE_DISCONNECTED']),
        );
      } finally {
        await lab().startAgent('node-1');
      }
    });
  } finally {
    await deletePolicy(lab(), name);
  }
});

test('a disabled policy is not tested, nor one of which no interface has a device, and tests are audited', async () => {
  const name = 'not-testable';
  await createPolicy(lab(), { name, sources: ['web-2/0'], destination: 'mon-3/0', enabled: false });
  try {
    const { status, body } = await lab().api('POST', `/api/v1/policies/${name}/test`);
    assert.deepEqual([status, body.code], [409, 'POLICY_NOT_TESTABLE']);
    assert.match(body.detail, /policy enable not-testable/);
    const { body: audit } = await lab().api('GET', '/api/v1/audit?limit=50');
    const tests = (audit.items as { action: string; resource: string; outcome: string; code?: string }[])
      .filter(({ action }) => action === 'test')
      .map(({ resource, outcome, code }) => [resource, outcome, code]);
    assert.deepEqual(tests[0], [`policies/${name}`, 'refused', 'POLICY_NOT_TESTABLE']);
    assert.ok(tests.some(([resource, outcome]) => resource === 'policies/faults' && outcome === 'done'));
  } finally {
    await deletePolicy(lab(), name);
  }
});
