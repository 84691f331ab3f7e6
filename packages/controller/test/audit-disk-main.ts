/** A controller whose audit log is on a small disk, which fills up and gets room again. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import type { AuditEntry, Event } from '@mirrorplane/contract';
import { verdictOf } from './audit-log.ts';
import { startOnDisk } from './disk-controller.ts';
import { fill } from './small-disk.ts';

const [disk, data] = process.argv.slice(2) as [string, string];

test('full and free again', async (t) => {
  const { bench, controller } = await startOnDisk(t, data);
  await bench.must('PUT', '/api/v1/domains/before', {});
  const filler = path.join(disk, 'filler');
  fill(filler);
  const statuses: number[] = [];
  let failed = -1;
  for (let at = 0; failed < 0; at++) {
    const { status, body } = await bench.put(`/api/v1/domains/d-${at}`, {});
    statuses.push(status);
    if (status !== 201) {
      failed = at;
      assert.match(
        body.detail,
        /^the disk of the controller is full .*ENOSPC.* make room .* read what you have changed/,
      );
    }
  }
  assert.deepEqual([...new Set(statuses.slice(0, -1))], [201]);
  assert.equal(statuses.at(-1), 503);
  // It was committed, and its entry is owed. From now on nothing is.
  const refused = await bench.put('/api/v1/domains/after', {});
  assert.deepEqual([refused.status, refused.body.code], [503, 'UNAVAILABLE']);
  assert.match(refused.body.detail, /^the audit log cannot be written \(ENOSPC\), so nothing may change: make room/);
  assert.equal((await bench.get('/api/v1/domains/after')).status, 404);
  assert.equal((await bench.get(`/api/v1/domains/d-${failed}`)).status, 200);
  const text = readFileSync(path.join(disk, 'audit.log'), 'utf8');
  assert.ok(text.endsWith('}\n'), 'no line is half there');
  rmSync(filler);
  await until('it is written again', async () => (await bench.put('/api/v1/domains/after', {})).status === 201, {
    limitMs: 20_000,
  });
  const entries = (await bench.get('/api/v1/audit?limit=1000')).body.items as AuditEntry[];
  const done = entries.filter(({ outcome }) => outcome === 'done').map(({ resource }) => resource);
  for (let at = 0; at <= failed; at++) {
    assert.equal(done.filter((resource) => resource === `domains/d-${at}`).length, 1, `domains/d-${at}`);
  }
  const about = entries.find(({ resource }) => resource === 'audit/')!;
  assert.deepEqual([about.actor, about.outcome], ['controller', 'failed']);
  assert.match(about.detail!, /^the log could not be written since .* \(ENOSPC\): 0 entries are missing$/);
  const events = (await bench.get('/api/v1/events?kind=auditProblem')).body.items as Event[];
  assert.deepEqual(
    events.map(({ message }) => message.replace(/: .*/, '')),
    ['the audit log cannot be written', 'the audit log can be written again'],
  );
  const { text: metrics } = await bench.get('/metrics');
  assert.match(metrics, /^mirrorplane_audit_write_failures_total 1$/m);
  await controller.close();
  assert.equal(verdictOf(data).fault, undefined);
});
