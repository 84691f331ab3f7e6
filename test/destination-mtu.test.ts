/**
 * A destination with a smaller MTU than the source gets the whole TCP stream, in segments that it
 * takes.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { useLab } from './support/lab.ts';
import { assertSumsClose, statusEventually, withPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { PYTHON, python } from './support/traffic.ts';

const TRANSFER = join(import.meta.dirname, 'support', 'transfer.py');
const PORT = 5001;
const SIZE = 3_000_000;

const lab = useLab({ underlayMtu: 1600 });
const file = () => join(lab().runDir, 'random.bin');

/** Jumbo frames at two VMs of a node. */
async function raiseMtus(): Promise<void> {
  writeFileSync(file(), randomBytes(SIZE));
  for (const vm of ['web-1', 'web-2']) {
    await lab().exec('node-1', ['ip', 'link', 'set', `tap-${vm}`, 'mtu', '9000']);
    await lab().exec(vm, ['ip', 'link', 'set', 'eth0', 'mtu', '9000']);
  }
}

/** Sends the file from web-1 to web-2, on the same node. */
async function transfer(): Promise<void> {
  const argv = [PYTHON, TRANSFER, 'receive', lab().address('web-2'), String(PORT)];
  const receiver = lab().spawn('web-2', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(receiver, 'close');
  try {
    await once(receiver.stdout!, 'data', { signal: AbortSignal.timeout(10_000) });
    await lab().exec('web-1', [PYTHON, TRANSFER, 'send', lab().address('web-2'), String(PORT), file(), '100']);
    await closed;
  } finally {
    receiver.kill('SIGKILL');
  }
}

for (const [where, destination] of [
  ['on another node, over an underlay of MTU 1600', 'ids-1'],
  ['on the same node', 'fw-1'],
] as const) {
  test(`a stream of jumbo frames is whole at a destination of MTU 1500 ${where}`, async () => {
    const name = `to-${destination}`;
    await raiseMtus();
    await withPolicy(
      lab(),
      { name, sources: ['web-1/0'], destination: `${destination}/0`, direction: 'outbound' },
      async () => {
        const taps = { copies: { host: destination, snapLength: 66_000, bufferKiB: 65_536 } };
        const seen = await watch(lab(), taps, async () => {
          await transfer();
          let last = -1;
          const status = await statusEventually(lab(), name, 'counters at rest', ({ totals, paths }) => {
            const matched = totals.matched.packets;
            const arrived = paths.every(({ sent, received }) => sent?.packets === received?.packets);
            const still = matched > SIZE / 9000 && matched === last && arrived;
            last = matched;
            return still;
          });
          assert.deepEqual([status.totals.dropped, status.totals.truncated.packets], [{}, 0]);
          assertSumsClose(status);
          assert.ok(status.totals.matched.packets < SIZE / 1500, 'the source sends jumbo frames');
          const reasons = status.reasons.map(({ code }) => code);
          assert.deepEqual(reasons, []);
        });
        const { bytes, missing, wrong, badHeaders } = await python<Record<string, number>>('stream.py', [
          seen.copies.file,
          file(),
          String(PORT),
        ]);
        assert.deepEqual({ bytes, missing, wrong, badHeaders }, { bytes: SIZE, missing: 0, wrong: 0, badHeaders: 0 });
      },
    );
  });
}
