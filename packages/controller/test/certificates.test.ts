/** Messages about certificates that end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AGENT_WARNING_MS,
  AUTHORITY_WARNING_MS,
  authorityProblem,
  certificateProblem,
} from '../src/auth/certificates.ts';
import { Bench } from './harness.ts';

const DAY = 86_400_000;
const END = Date.parse('2027-06-01T00:00:00.000Z');
const iso = new Date(END).toISOString();

test('of the certificate of an agent: nothing, then that it ends, then that it has ended', () => {
  const at = (now: number) => certificateProblem('node-1', iso, now);
  assert.equal(certificateProblem('node-1', undefined, END), undefined);
  assert.equal(at(END - AGENT_WARNING_MS - 1), undefined);
  assert.deepEqual(
    [at(END - AGENT_WARNING_MS), at(END - 1), at(END)].map((problem) => problem?.code),
    ['CERTIFICATE_ENDING', 'CERTIFICATE_ENDING', 'CERTIFICATE_ENDED'],
  );
  for (const now of [END - 1, END]) {
    assert.match(at(now)?.message ?? '', /2027-06-01T00:00:00.000Z.*"mirrorplane node token node-1".*--token/);
  }
});

test('of the authority it is said half a year before', () => {
  assert.equal(authorityProblem(END, END - AUTHORITY_WARNING_MS - 1), undefined);
  assert.equal(authorityProblem(END, END - AUTHORITY_WARNING_MS)?.code, 'CERTIFICATE_ENDING');
  assert.equal(authorityProblem(END, END + 1)?.code, 'CERTIFICATE_ENDED');
});

test('a controller reports at its start that its authority will end, and shows the date', async (t) => {
  const bench = await Bench.start(t);
  const told = async () => (await bench.get('/api/v1/events?kind=certificateEnding')).body.items;
  assert.deepEqual(await told(), []);
  bench.ahead = (20 * 365 - 100) * DAY;
  await bench.restart();
  const [event, ...more] = await told();
  assert.deepEqual([event.code, event.object.kind, more], ['CERTIFICATE_ENDING', 'controller', []]);
  const { text } = await bench.get('/metrics');
  const end = Number(/controller_certificate_end_timestamp_seconds\{certificate="authority"\} (\S+)/.exec(text)?.[1]);
  const days = (end * 1000 - Date.now() - bench.ahead) / DAY;
  assert.ok(days > 99 && days < 101, `${days} days`);
  assert.match(text, /controller_certificate_end_timestamp_seconds\{certificate="agents"\} \d/);
});
