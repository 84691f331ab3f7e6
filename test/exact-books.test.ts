/**
 * The books balance: past what a destination takes, while policies change, and with one name for
 * each reason.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  DROP_REASONS,
  type PolicyInput,
  type PolicyStatus,
  SKIP_REASONS,
  TERMINATION_DROP_REASONS,
} from '@mirrorplane/contract';
import { MIRRORPLANE } from '@mirrorplane/lab/testing';
import { flood, hasTrafgen, received, receivedEventually, throttleDrops, throttled } from './support/exact-flood.ts';
import { useLab } from './support/lab.ts';
import { allCopied, packets, policyStatus, statusEventually, withPolicy } from './support/policy.ts';
import { allowedCpus, ping, python } from './support/traffic.ts';

/** Copies may fill the device that they leave by. Losses there must be counted. */
const UNPROTECTED = ['--protect', 'off'];
const lab = useLab({
  nodes: 2,
  switch: false,
  agentArguments: { 'node-1': UNPROTECTED, 'node-2': UNPROTECTED },
});
const COUNT = 60_000;
const CPUS = allowedCpus();
const LOCAL: PolicyInput = { name: 'local', sources: ['web-1/0'], destination: 'fw-1/0', direction: 'outbound' };
const REMOTE: PolicyInput = { ...LOCAL, name: 'remote', destination: 'ids-1/0' };

/**
 * `matched = sampledOut + copied + dropped` for every source and direction, in packets and bytes.
 */
function assertCapturesClose(status: PolicyStatus): void {
  for (const source of status.sources) {
    for (const direction of ['inbound', 'outbound'] as const) {
      const counts = source[direction];
      if (!counts) {
        continue;
      }
      for (const unit of ['packets', 'bytes'] as const) {
        const dropped: number = Object.values(counts.dropped).reduce((sum, count) => sum + (count?.[unit] ?? 0), 0);
        assert.equal(
          counts.matched[unit],
          counts.sampledOut[unit] + counts.copied[unit] + dropped,
          `${source.interface} ${direction} ${unit}: ${JSON.stringify(counts)}`,
        );
      }
    }
  }
}

/** Sends one ping from each CPU. A copy of it is the next in the lane of that CPU. */
async function pingFromEach(): Promise<void> {
  for (const cpu of CPUS) {
    await ping(lab(), 'web-1', 'web-2', 1, { cpu });
  }
}

/**
 * Waits until the counters of both ends of the only path have stopped: two reports of the same
 * numbers.
 */
async function settled(name: string, matched: number): Promise<PolicyStatus> {
  let last = '';
  let at: string | null = null;
  return statusEventually(lab(), name, `settled, matched ${matched}`, (status) => {
    const { totals, delivered, paths, countersAt } = status;
    const now = JSON.stringify({ totals, delivered, paths });
    const same = now === last && countersAt !== at && totals.matched.packets >= matched;
    if (countersAt !== at) {
      last = now;
      at = countersAt;
    }
    return same;
  });
}

test('a local destination slower than the flood: what it refused is counted as destinationDown, and the sum closes', async (context) => {
  if (!(await hasTrafgen(lab()))) {
    return context.skip('trafgen is not installed');
  }
  await withPolicy(lab(), LOCAL, async () => {
    const before = { copy: await received(lab(), 'fw-1'), original: await received(lab(), 'web-2') };
    await throttled(lab(), 'node-1', 'tap-fw-1', async () => {
      await flood(lab(), 'web-1', 'web-2', COUNT);
      const drops = await throttleDrops(lab(), 'node-1', 'tap-fw-1');
      const status = await settled('local', COUNT);
      assertCapturesClose(status);
      const { copied, dropped } = packets(status.totals)!;
      assert.deepEqual(packets(status.totals), {
        ...allCopied(COUNT),
        copied,
        dropped: { destinationDown: COUNT - copied },
      });
      assert.equal(dropped.destinationDown, drops, 'as many as the queue of the device has dropped');
      assert.ok(copied > 0 && drops > COUNT / 10, `${copied} copied, ${drops} dropped: the flood was to be too much`);
      assert.equal(await receivedEventually(lab(), 'fw-1', before.copy, copied), copied, 'copied is what has come');
      assert.equal(status.delivered?.packets, copied);
      assert.equal((await received(lab(), 'web-2')) - before.original, COUNT, 'no original is lost');
      const reasons = status.reasons.map(({ code, node }) => [code, node]);
      assert.deepEqual(reasons, [['COPIES_DROPPED', 'node-1']]);
    });
  });
});

test('ERSPAN over an uplink slower than the flood: the loss is sent minus received, and the sequence numbers miss as many', async (context) => {
  if (!(await hasTrafgen(lab()))) {
    return context.skip('trafgen is not installed');
  }
  await withPolicy(lab(), REMOTE, async () => {
    const before = { copy: await received(lab(), 'ids-1'), original: await received(lab(), 'web-2') };
    let drops = 0;
    const pings = 2 * CPUS.length;
    await pingFromEach();
    await throttled(lab(), 'node-1', 'underlay0', async () => {
      await flood(lab(), 'web-1', 'web-2', COUNT);
      drops = await throttleDrops(lab(), 'node-1', 'underlay0');
    });
    // Both ends together know what is lost before later numbers arrive: once a report of the receiver
    // is later than the flight of the last copies that the sender has reported.
    await statusEventually(lab(), 'remote', `${drops} lost`, ({ lost }) => lost === drops);
    // The receiver alone sees the last loss of a CPU when the next number of that CPU arrives.
    await pingFromEach();
    const status = await settled('remote', COUNT + pings);
    assertCapturesClose(status);
    assert.deepEqual(
      packets(status.totals),
      allCopied(COUNT + pings),
      'the source has sent all: nothing was dropped there',
    );
    const [path] = status.paths;
    assert.equal(path?.sent?.packets, COUNT + pings);
    assert.equal(path.lost, drops, 'what was lost stays');
    assert.ok(drops > COUNT / 10, `${drops} dropped: the flood was to be too much`);
    assert.equal(path.sent.packets - path.received!.packets, drops, 'lost is what the queue of the uplink has dropped');
    assert.equal(path.missing?.packets, drops, 'the receiver knows it from the sequence numbers alone');
    assert.deepEqual(path.received, path.delivered);
    assert.equal((await received(lab(), 'ids-1')) - before.copy, path.delivered!.packets);
    assert.equal((await received(lab(), 'web-2')) - before.original, COUNT + pings, 'no original is lost');
  });
});

for (const { what, change } of [
  { what: 'slower than the flood', change: 'throttle' },
  { what: 'down', change: 'down' },
] as const) {
  test(`a destination of another node that is ${what}: the receiving node counts what its device refused`, async (context) => {
    if (!(await hasTrafgen(lab()))) {
      return context.skip('trafgen is not installed');
    }
    await withPolicy(lab(), REMOTE, async () => {
      const before = { copy: await received(lab(), 'ids-1'), original: await received(lab(), 'web-2') };
      const check = async () => {
        await flood(lab(), 'web-1', 'web-2', COUNT);
        const drops = change === 'throttle' ? await throttleDrops(lab(), 'node-2', 'tap-ids-1') : COUNT;
        const status = await settled('remote', COUNT);
        assertCapturesClose(status);
        assert.deepEqual(packets(status.totals), allCopied(COUNT));
        const [path] = status.paths;
        assert.deepEqual([path?.sent?.packets, path?.received?.packets], [COUNT, COUNT], 'nothing is lost on the way');
        assert.deepEqual(path?.sentInner, path?.received, 'nor is a byte of the copies');
        const refused = path!.received!.packets - path!.delivered!.packets;
        assert.equal(refused, drops);
        assert.ok(refused > COUNT / 10, `${refused} refused: the flood was to be too much`);
        assert.equal(path?.missing?.packets, 0);
        assert.equal((await received(lab(), 'ids-1')) - before.copy, path?.delivered?.packets);
        assert.equal((await received(lab(), 'web-2')) - before.original, COUNT, 'no original is lost');
        const dropped = status.reasons.find(({ code }) => code === 'COPIES_DROPPED');
        assert.equal(dropped?.node, 'node-2');
        assert.match(dropped?.message ?? '', new RegExp(`destinationDown ${refused}\\b`));
      };
      if (change === 'throttle') {
        return throttled(lab(), 'node-2', 'tap-ids-1', check);
      }
      await lab().exec('node-2', ['ip', 'link', 'set', 'tap-ids-1', 'down']);
      try {
        await check();
      } finally {
        await lab().exec('node-2', ['ip', 'link', 'set', 'tap-ids-1', 'up']);
      }
    });
  });
}

test('50 changes of two policies under load: every sum closes at every moment, and no original is lost', async (context) => {
  if (!(await hasTrafgen(lab()))) {
    return context.skip('trafgen is not installed');
  }
  const unknown = async () => {
    const { body } = await lab().api('GET', '/metrics', undefined, { accept: 'text/plain' });
    return Number(/mirrorplane_node_unknown_erspan_packets_total\{node="node-2"\} (\d+)/.exec(String(body))?.[1] ?? 0);
  };
  const change = async (name: string, body: object) => {
    const headers = { 'content-type': 'application/merge-patch+json' };
    const answer = await lab().api('PATCH', `/api/v1/policies/${name}`, body, headers);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };
  const local: PolicyInput = { ...LOCAL, sources: ['web-2/0'], direction: 'inbound' };
  await withPolicy(lab(), local, () =>
    withPolicy(lab(), REMOTE, async () => {
      const before = {
        copy: await received(lab(), 'ids-1'),
        local: await received(lab(), 'fw-1'),
        original: await received(lab(), 'web-2'),
        unknown: await unknown(),
      };
      const count = 600_000;
      let running = true;
      const flooded = flood(lab(), 'web-1', 'web-2', count, 60_000).finally(() => {
        running = false;
      });
      const percents = [100, 25, 0, 73.5, 99.99];
      let changes = 0;
      for (; changes < 50; changes++) {
        const name = changes % 2 ? 'local' : 'remote';
        const enabled = Math.floor(changes / 4) % 3 !== 2;
        await change(name, changes % 3 === 0 ? { enabled } : { percent: percents[changes % percents.length] });
        assertCapturesClose(await policyStatus(lab(), name));
      }
      assert.ok(running, 'the load outlasts the changes');
      for (const name of ['local', 'remote']) {
        await change(name, { enabled: true, percent: 100 });
      }
      await flooded;
      assert.equal(await receivedEventually(lab(), 'web-2', before.original, count), count, 'no original is lost');
      for (const name of ['local', 'remote']) {
        const status = await settled(name, 1);
        assertCapturesClose(status);
        assert.ok(
          status.totals.copied.packets > 0 && status.totals.sampledOut.packets > 0,
          JSON.stringify(status.totals),
        );
        assert.ok(status.totals.matched.packets <= count);
      }
      const [here, there] = [await policyStatus(lab(), 'local'), await policyStatus(lab(), 'remote')];
      assert.equal((await received(lab(), 'fw-1')) - before.local, here.totals.copied.packets);
      const [path] = there.paths;
      assert.equal(path?.sent?.packets, there.totals.copied.packets);
      assert.equal((await received(lab(), 'ids-1')) - before.copy, path?.delivered?.packets);
      // While one node has a change and the other not yet, copies meet no termination: lost on the
      // path, and counted there.
      assert.equal(
        path!.sent!.packets - path!.received!.packets,
        (await unknown()) - before.unknown,
        'lost is accounted for',
      );
    }),
  );
});

test('each reason has one name in C, in the contract, in the API, in the metrics and on the command line', async () => {
  const source = readFileSync(join(import.meta.dirname, '../packages/bpf/src/types.h'), 'utf8');
  const inC = (name: string, prefix: string) => {
    const [, body = ''] = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(source) ?? [];
    const names = [...body.matchAll(new RegExp(`\\b${prefix}_([A-Z_]+)\\b`, 'g'))].map(([, word = '']) => word);
    assert.match(names.at(-1) ?? '', /COUNT$/);
    return names
      .slice(0, -1)
      .map((word) => word.toLowerCase().replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase()));
  };
  assert.deepEqual(inC('drop_reason', 'DROP'), [...DROP_REASONS]);
  assert.deepEqual(inC('skip_reason', 'SKIP'), [...SKIP_REASONS]);
  assert.deepEqual(inC('termination_drop', 'TERMINATION'), [...TERMINATION_DROP_REASONS]);

  await withPolicy(lab(), REMOTE, async () => {
    const sizes = [DROP_REASONS, SKIP_REASONS, TERMINATION_DROP_REASONS].map(({ length }) => String(length));
    const pins = (node: string) => `/sys/fs/bpf/mirrorplane-${lab().name}-${node}/maps`;
    const made = { captures: 0, terminations: 0 };
    for (const node of ['node-1', 'node-2']) {
      const one = await python<typeof made>('exact-counters.py', [pins(node), ...sizes]);
      made.captures += one.captures;
      made.terminations += one.terminations;
    }
    assert.deepEqual(made, { captures: 1, terminations: 1 });
    const expected = (names: readonly string[], first: number) => names.map((name, i) => [name, first + i] as const);
    const dropped = expected(DROP_REASONS, 1001);
    const skipped = expected(SKIP_REASONS, 2001);
    const refused = expected(TERMINATION_DROP_REASONS, 3001);

    const status = await statusEventually(lab(), 'remote', 'all reasons', ({ totals, reasons }) => {
      return (
        Object.keys(totals.dropped).length === DROP_REASONS.length && reasons.some(({ node }) => node === 'node-2')
      );
    });
    assertCapturesClose({ ...status, sources: [] });
    const counts = packets(status.totals)!;
    assert.deepEqual(
      [counts.dropped, counts.skipped],
      [Object.fromEntries(dropped), Object.fromEntries(skipped)],
      'API',
    );
    const message = status.reasons.find(({ node }) => node === 'node-2')?.message ?? '';
    for (const [name, n] of refused) {
      assert.match(message, new RegExp(`\\b${name} ${n}\\b`), 'API');
    }

    const { body } = await lab().api('GET', '/metrics', undefined, { accept: 'text/plain' });
    const metrics = String(body).split('\n');
    const metric = (start: string, reason: string) =>
      Number(
        metrics
          .find((line) => line.startsWith(start) && line.includes(`reason="${reason}"`))
          ?.split(' ')
          .at(-1),
      );
    for (const [name, n] of dropped) {
      assert.equal(metric('mirrorplane_policy_packets_total{', name), n, name);
    }
    for (const [name, n] of skipped) {
      assert.equal(metric('mirrorplane_policy_skipped_packets_total{', name), n, name);
    }

    const { stdout } = await lab().exec('ctl', [MIRRORPLANE, 'policy', 'status', 'remote'], {
      env: { MIRRORPLANE_URL: `unix:${lab().apiSocket}`, MIRRORPLANE_TOKEN_FILE: lab().tokenFile },
    });
    for (const [name, n] of dropped) {
      assert.match(stdout, new RegExp(`^ *${name} +${n}\\b`, 'm'), 'command line');
    }
    for (const [name, n] of skipped) {
      assert.match(stdout, new RegExp(`not matched: ${name} +${n}\\b`), 'command line');
    }
    for (const [name, n] of refused) {
      assert.match(stdout, new RegExp(`\\b${name} ${n}\\b`), 'command line');
    }
  });
});
