/** Agents while the controller is away, and after it is back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';

import { useLab } from './support/lab.ts';
import { activeEventually, allCopied, countedEventually, packets, withPolicy } from './support/policy.ts';
import { type Tap, watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const PINGS = 20;
const lab = useLab({ nodes: 2 });

/** Runs `work` without a controller. */
async function away(work: () => Promise<void>): Promise<void> {
  await lab().stopController('SIGKILL');
  try {
    await work();
  } finally {
    await lab().startController();
  }
}

/** Kills a node's agent and starts it again. */
async function restartAgent(node: string): Promise<void> {
  await lab().stopAgent(node, 'SIGKILL');
  await lab().startAgent(node);
}

/** Pings until the destination has a first copy of them. Returns how many copies it got. */
async function copiedAtLast(): Promise<number> {
  const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
    await until(
      'a first copy',
      async () => {
        await ping(lab(), 'web-1', 'db-1', 1);
        return (await captures.destination.count()) > 0;
      },
      { limitMs: 20_000 },
    );
    // From here on nothing may be missing any more.
    const before = await captures.destination.count();
    await ping(lab(), 'web-1', 'db-1', PINGS);
    await captures.destination.waitFor(before + 2 * PINGS);
  });
  return seen.destination.packets;
}

/** Pings. The destination must get every copy, and nothing else. */
async function allCopies(): Promise<number> {
  const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
    await ping(lab(), 'web-1', 'db-1', PINGS);
    await captures.destination.waitFor(2 * PINGS);
  });
  assert.equal(seen.destination.packets, 2 * PINGS);
  return 2 * PINGS;
}

test('an agent that is killed and starts without the controller keeps its captures, and takes a source that comes to it', async () => {
  await withPolicy(lab(), { name: 'alone', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    let copies = 0;
    await away(async () => {
      await restartAgent('node-1');
      copies += await allCopies();
      await restartAgent('node-2');
      copies += await allCopies();
      // Between two nodes of the pool, to an agent that has never heard a controller since its
      // start, and back.
      for (const node of ['node-2', 'node-1']) {
        await lab().migrate('web-1', node);
        copies += await copiedAtLast();
      }
    });
    await activeEventually(lab(), 'alone');
    const { totals, delivered } = await countedEventually(lab(), 'alone', copies, 0);
    assert.deepEqual(packets(totals), allCopied(copies), 'what was copied meanwhile is counted');
    assert.ok(delivered);
    await allCopies();
  });
});

test('a source that left while its agent was dead, without the controller, is captured where it came to, and once', async () => {
  await withPolicy(lab(), { name: 'left', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    let copies = 0;
    await away(async () => {
      await lab().stopAgent('node-1', 'SIGKILL');
      await lab().migrate('web-1', 'node-2');
      copies += await copiedAtLast();
      await lab().startAgent('node-1');
      await lab().migrate('web-1', 'node-1');
      copies += await copiedAtLast();
    });
    await activeEventually(lab(), 'left');
    const { totals } = await countedEventually(lab(), 'left', copies, 0);
    assert.deepEqual(packets(totals), allCopied(copies));
  });
});

test('an edge gets its copies again after its device was deleted and created while the controller was away', async () => {
  const policy = { name: 'edge', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 };
  await withPolicy(lab(), policy, async () => {
    const port: Tap = { host: 'switch', device: 'node-1-edge0', direction: 'in' };
    const tagged = async (expected: number) => {
      const seen = await watch(lab(), { port }, async (captures) => {
        await ping(lab(), 'web-1', 'db-1', PINGS);
        await captures.port.waitFor(expected);
      });
      assert.equal(seen.port.packets, expected);
    };
    await tagged(2 * PINGS);
    await away(async () => {
      await lab().exec('node-1', ['ip', 'link', 'set', 'edge0', 'down']);
      await ping(lab(), 'web-1', 'db-1', PINGS);
      await lab().exec('node-1', ['ip', 'link', 'set', 'edge0', 'name', 'edge9']);
      await restartAgent('node-1');
      await lab().exec('node-1', ['ip', 'link', 'set', 'edge9', 'name', 'edge0']);
      await lab().exec('node-1', ['ip', 'link', 'set', 'edge0', 'up']);
      await until(
        'copies by the edge again',
        async () => {
          const seen = await watch(lab(), { port }, async () => ping(lab(), 'web-1', 'db-1', 1));
          return seen.port.packets === 2;
        },
        { limitMs: 20_000 },
      );
      await tagged(2 * PINGS);
    });
    await activeEventually(lab(), 'edge');
    await tagged(2 * PINGS);
  });
});
