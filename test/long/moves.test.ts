/**
 * A guest's device vanishes and appears on another node: how long until it is captured there.
 * Numbers are reported, not judged.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event } from '@mirrorplane/contract';
import type { CaptureResult } from '@mirrorplane/lab';
import { useLab } from '../support/lab.ts';
import { withPolicy } from '../support/policy.ts';
import { watch } from '../support/taps.ts';

/** How often; `make soak` asks for more. */
const MOVES = Number(process.env.MOVES ?? 12);
/** Seconds between two pings. */
const INTERVAL = 0.005;
const NODES = ['node-1', 'node-2'];

const lab = useLab({ nodes: 2, switch: false });

/** Events of captures of web-1 after one, the oldest first. */
async function attached(after: number): Promise<Event[]> {
  const query = `kind=captureAttached&object=interface/web-1/0&limit=1000&after=${after}`;
  return (await lab().api('GET', `/api/v1/events?${query}`)).body.items as Event[];
}

/** The output of `ip monitor` for a node's links, with the time of each report. */
function monitor(node: string): { child: ChildProcess; appeared(since: number): number | undefined } {
  const env = { ...process.env, TZ: 'UTC' };
  const child = lab().spawn(node, ['ip', '-ts', 'monitor', 'link'], { stdio: ['ignore', 'pipe', 'ignore'], env });
  let text = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  return {
    child,
    /** Time of the first report of web-1's device after `since`, milliseconds since 1970. */
    appeared(since) {
      for (const message of text.split(/^(?=\[)/m)) {
        if (!/ tap-web-1[@:]/.test(message) || message.includes('Deleted')) {
          continue;
        }
        const at = /^\[(\S+?)(\d{3})\]/.exec(message);
        const time = at ? Date.parse(`${at[1]}Z`) + Number(at[2]) / 1000 : 0;
        if (time >= since) {
          return time;
        }
      }
      return undefined;
    },
  };
}

/** Sequence numbers of echo requests from web-1, with how often each was seen. */
function requests({ lines }: CaptureResult): Map<string, number> {
  const seen = new Map<string, number>();
  for (const line of lines) {
    const seq = /echo request, id (\d+, seq \d+),/.exec(line)?.[1];
    if (seq !== undefined) {
      seen.set(seq, (seen.get(seq) ?? 0) + 1);
    }
  }
  return seen;
}

/** A row of numbers: its p50, p99 and highest, in milliseconds. */
function summary(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return `p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, highest ${at(1).toFixed(1)} ms`;
}

test(`${MOVES} moves of a guest, with its device deleted first: each is captured and reported, nothing is copied twice`, async (t) => {
  const product: number[] = [];
  const independent: number[] = [];
  await withPolicy(lab(), { name: 'mover', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    const monitors = Object.fromEntries(NODES.map((node) => [node, monitor(node)]));
    const filter = 'icmp[icmptype] == icmp-echo';
    const taps = { original: { host: 'db-1', filter, lines: true }, copy: { host: 'ids-1', filter, lines: true } };
    let ping: ChildProcess | undefined;
    try {
      const seen = await watch(lab(), taps, async (captures) => {
        // Only now: what a capture gets before its filter is in place it counts and does not keep.
        ping = lab().spawn('web-1', ['ping', '-q', '-n', '-i', String(INTERVAL), lab().address('db-1')], {
          stdio: 'ignore',
        });
        await captures.copy.waitFor(20);
        let last = (await attached(0)).at(-1)?.id ?? 0;
        for (let move = 0; move < MOVES; move++) {
          const node = NODES[(move + 1) % 2]!;
          const since = Date.now();
          await lab().migrate('web-1', node);
          let event: Event | undefined;
          await until(
            `capture at ${node}`,
            async () => {
              event = (await attached(last)).find((one) => one.node === node);
              return event !== undefined;
            },
            { limitMs: 30_000 },
          );
          last = event!.id;
          assert.ok(event!.ms !== undefined, JSON.stringify(event));
          product.push(event!.ms);
          await until('the kernel to have told', () => monitors[node]!.appeared(since) !== undefined, {
            limitMs: 5000,
          });
          // Times of events are whole milliseconds.
          independent.push(Math.max(0, Date.parse(event!.at) - monitors[node]!.appeared(since)!));
          const copies = await captures.copy.count();
          await captures.copy.waitFor(copies + 5, 30_000);
        }
        const ended = once(ping, 'close');
        ping.kill('SIGINT');
        await ended;
        await until(
          'the last copies',
          async () => (await captures.copy.count()) >= (await captures.original.count()) - MOVES * 20,
        );
      });
      const [originals, copies] = [requests(seen.original), requests(seen.copy)];
      // A request may be lost on its way after it was copied: while a guest moves, bridges learn of
      // it one by one.
      const twice = [...copies].filter(([seq, count]) => count > Math.max(1, originals.get(seq) ?? 0));
      const missed = [...originals].filter(([seq, count]) => (copies.get(seq) ?? 0) < count);
      t.diagnostic(`from device seen to captured, as the product says: ${summary(product)}`);
      t.diagnostic(`from the kernel's first word of the device (ip monitor) to captured: ${summary(independent)}`);
      t.diagnostic(
        `${missed.length} of ${originals.size} requests of the guest were not copied, ${twice.length} duplicated; one every ${INTERVAL * 1000} ms`,
      );
      assert.deepEqual(twice, []);
    } finally {
      ping?.kill('SIGKILL');
      for (const { child } of Object.values(monitors)) {
        child.kill('SIGKILL');
      }
    }
  });
});
