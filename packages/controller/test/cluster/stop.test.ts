/** A controller that is stopped in order while etcd does not answer: it ends, and says what it has left. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { ControllerCluster, type ControllerProcess, isReady } from './controllers.ts';

const options = { timeout: 180_000 };
const LIMIT = { limitMs: 60_000 };
/** Milliseconds until a stop is over: etcd may be silent for five seconds, and a machine may be slow. */
const STOP_MS = 20_000;

const auditOf = ({ data }: ControllerProcess) =>
  readFileSync(path.join(data, 'audit.log'), 'utf8')
    .trimEnd()
    .split('\n')
    .map(
      (line) =>
        JSON.parse(line) as { seq: number; resource?: string; checkpoint?: { reason: string; unsigned?: number } },
    );
const logOf = ({ log }: ControllerProcess) =>
  readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line): { msg: string; unsigned?: number }[] => (line.startsWith('{') ? [JSON.parse(line)] : []));
const LEFT = /audit log could not be ended/;

test(
  'a stop does not wait for an etcd that is silent, says what is not signed, and the next start signs it',
  options,
  async (t) => {
    const cluster = await ControllerCluster.start(t, { count: 1 });
    const [one] = cluster.controllers as [ControllerProcess];
    assert.equal((await cluster.call(one, 'PUT', '/api/v1/domains/blue', {})).status, 201);
    await until('the change to be in the file', () => auditOf(one).at(-1)?.resource === 'domains/blue', LIMIT);
    await Promise.all(cluster.etcd.members.map((member) => member.pause()));
    const began = performance.now();
    await one.stop('SIGTERM');
    const took = performance.now() - began;
    assert.ok(took < STOP_MS, `the stop took ${Math.round(took)} ms`);
    const { seq } = auditOf(one).at(-1)!;
    assert.equal(auditOf(one).at(-1)!.checkpoint, undefined, 'it could not sign');
    assert.ok((logOf(one).find(({ msg }) => LEFT.test(msg))?.unsigned ?? 0) > 0, 'it says so');
    for (const member of cluster.etcd.members) {
      member.resume();
    }
    one.start();
    await until('it leads again', () => isReady(one), LIMIT);
    // Etcd may have carried out the last request of the stop after all.
    const next = auditOf(one).find((line) => line.seq === seq + 1)!.checkpoint;
    assert.ok(next?.reason === 'close' || (next?.reason === 'start' && next.unsigned! > 0), JSON.stringify(next));
    assert.equal((await cluster.call(one, 'GET', '/api/v1/domains/blue')).status, 200);
  },
);

test('a stop while etcd answers leaves nothing', options, async (t) => {
  const cluster = await ControllerCluster.start(t, { count: 1 });
  const [one] = cluster.controllers as [ControllerProcess];
  assert.equal((await cluster.call(one, 'PUT', '/api/v1/domains/blue', {})).status, 201);
  // One member that is silent is no reason to give up.
  await cluster.etcd.members[0]!.pause();
  await one.stop('SIGTERM');
  assert.equal(auditOf(one).at(-1)!.checkpoint?.reason, 'close');
  assert.equal(
    logOf(one).find(({ msg }) => LEFT.test(msg)),
    undefined,
  );
});
