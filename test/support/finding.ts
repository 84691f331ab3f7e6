/** Findings in a lab: begins one, lets traffic go while it looks, and reads its answer. */
import assert from 'node:assert/strict';
import { until } from '@mirrorplane/base';
import type { Finding, FindingAnswer } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';

/** What a finding said, and what it took. */
export interface Found<T> {
  answer: FindingAnswer;
  /** What the traffic returned. */
  traffic: T;
  /** Seconds from the question to the answer. */
  seconds: number;
}

/** Milliseconds that a finding may take beside the seconds that it looks. */
const LIMIT_MS = 60_000;

/**
 * Looks for some seconds, during which all of the traffic goes.
 * @param seconds has to be longer than the traffic takes
 */
export async function findWhile<T>(
  lab: Lab,
  { from, to, seconds }: { from: string; to: string; seconds: number },
  traffic: () => Promise<T>,
): Promise<Found<T>> {
  const began = Date.now();
  const created = await lab.api('POST', '/api/v1/findings', { from, to, seconds });
  assert.equal(created.status, 201, JSON.stringify(created.body));
  const { id } = created.body as Finding;
  const read = async () => (await lab.api('GET', `/api/v1/findings/${id}`)).body as Finding;
  await until('the finding to look', async () => (await read()).state !== 'starting', { limitMs: LIMIT_MS });
  const result = await traffic();
  const isOver = (await read()).state === 'done';
  let finding: Finding | undefined;
  await until(
    'the answer',
    async () => {
      finding = await read();
      return finding.state === 'done';
    },
    { limitMs: seconds * 1000 + LIMIT_MS },
  );
  assert.ok(!isOver, `the traffic took longer than the ${seconds} s of the finding`);
  return { answer: finding!.answer!, traffic: result, seconds: Math.round((Date.now() - began) / 100) / 10 };
}
