/**
 * Copies that are not IP, to a next hop that nobody has asked for, or that is forgotten while they
 * flow: none is lost.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import type { Capture } from '@mirrorplane/lab';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { framesOf, watch } from './support/taps.ts';
import { PYTHON } from './support/traffic.ts';

const lab = useLab({ switch: false });
const POLICY: PolicyInput = { name: 'odd', sources: ['web-1/0'], destination: 'ids-1/0', direction: 'outbound' };
const PACED = join(import.meta.dirname, 'support', 'exact-paced.py');
/** Seconds between two frames. */
const PAUSE = 0.0005;
const MOST = 200_000;
/** Copies that are waited for after each change. */
const ENOUGH = 300;

/**
 * Numbered frames of three kinds, to a guest of the same node or to nobody, so that only copies
 * reach another node.
 */
function* frames(): Generator<string> {
  const [from, to] = ['web-1', 'web-2'].map((host) => lab().mac(host).replaceAll(':', ''));
  const kinds = [`${to}${from}0806`, `0180c200000e${from}88cc`, `${to}${from}88b5`];
  for (let number = 0; number < MOST; number++) {
    yield `${kinds[number % 3]}${number.toString(16).padStart(8, '0')}${'00'.repeat(46)}\n`;
  }
}

afterEach(() => deletePolicy(lab(), 'odd'));

const numberOf = (frame: string) => Number.parseInt(frame.slice(28, 36), 16);

/** Sends from web-1 while `work` runs. */
async function sending(work: () => Promise<void>): Promise<void> {
  const sender = lab().spawn('web-1', [PYTHON, PACED, 'eth0', String(PAUSE)], { stdio: ['pipe', 'ignore', 'inherit'] });
  sender.stdin!.on('error', () => undefined); // it is ended before it has read all
  sender.stdin!.write([...frames()].join(''));
  try {
    await work();
  } finally {
    sender.kill('SIGKILL');
  }
}

const neigh = (...words: string[]) => lab().exec('node-1', ['ip', 'neigh', ...words, 'dev', 'underlay0']);

async function put(change: Partial<PolicyInput>): Promise<void> {
  const { status, body } = await lab().api('PUT', '/api/v1/policies/odd', { ...POLICY, ...change });
  assert.equal(status, 200, JSON.stringify(body));
}

/** Numbers that are left out between the first one and the last one, as runs. */
function gaps(numbers: readonly number[]): string[] {
  return numbers.flatMap((number, i) => {
    const due = i === 0 ? number : numbers[i - 1]! + 1;
    return number === due ? [] : [`${due}-${number - 1}`];
  });
}

/**
 * Runs `work`, which makes the policy, under traffic, and asserts that what the policy has matched
 * came out at its destinations, each frame once.
 */
async function copied(work: (copies: Record<'ids' | 'mon', Capture>) => Promise<void>): Promise<number[]> {
  const filter = `ether src ${lab().mac('web-1')}`;
  const taps = {
    ids: { host: 'ids-1', filter, direction: 'in', snapLength: 64 },
    mon: { host: 'mon-3', filter, direction: 'in', snapLength: 64 },
  } as const;
  const seen = await watch(lab(), taps, async (captures) => {
    await sending(() => work(captures));
    await statusEventually(lab(), 'odd', 'what was copied is delivered', ({ totals, delivered }) => {
      return totals.matched.packets > 0 && delivered?.packets === totals.matched.packets;
    });
  });
  const { totals } = await activeEventually(lab(), 'odd');
  const found = (await framesOf(seen.ids, seen.mon)).flat().map(numberOf);
  assert.deepEqual(totals.dropped, {});
  assert.equal(found.length, totals.matched.packets, 'copies that tcpdump has seen');
  assert.equal(new Set(found).size, found.length, 'each frame is copied once');
  return found.sort((a, b) => a - b);
}

test('the first copies are there when a policy is made, changed to another node and switched on', async () => {
  const more = async (capture: Capture) => capture.waitFor((await capture.count()) + ENOUGH, 20_000);
  const numbers = await copied(async ({ ids, mon }) => {
    await createPolicy(lab(), POLICY);
    await more(ids);
    await put({ destination: 'mon-3/0' });
    await more(mon);
    await put({ enabled: false });
    await statusEventually(lab(), 'odd', 'disabled', ({ state }) => state === 'disabled');
    await neigh('flush');
    await put({ destination: 'ids-1/0' });
    await more(ids);
  });
  assert.equal(gaps(numbers).length, 1, `left out while it was off: ${gaps(numbers)}`);
});

test('copies go on when the next hop is forgotten while they flow', async () => {
  const numbers = await copied(async ({ ids }) => {
    await createPolicy(lab(), POLICY);
    for (let i = 0; i < 5; i++) {
      await ids.waitFor((await ids.count()) + ENOUGH, 20_000);
      await neigh('del', lab().node('node-2').underlayAddress);
    }
    await ids.waitFor((await ids.count()) + ENOUGH, 20_000);
  });
  assert.deepEqual(gaps(numbers), []);
});
