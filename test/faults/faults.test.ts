/**
 * Clients change policies through the API of a real controller, while parts of it, of etcd, of the
 * network and of the disk fail. The seed is always the same. `make soak` draws new ones, and runs for
 * longer.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { faultOf } from './faults.ts';
import { type Report, runFaults } from './run.ts';
import { World, type WorldKind } from './world/world.ts';

/** Runs with faults, and shows what they have cost. */
async function run(t: TestContext, kind: WorldKind, names: readonly string[]): Promise<Report> {
  const world = await World.start(kind);
  t.after(() => world.end());
  const report = await runFaults(world, { seed: Number(process.env.SEED ?? 1), faults: names.map(faultOf) });
  const { rows, problems, ...counts } = report;
  for (const row of rows) {
    t.diagnostic(JSON.stringify(row));
  }
  t.diagnostic(JSON.stringify(counts));
  assert.deepEqual(problems, []);
  return report;
}

// Most of the time, both wait.
describe('whatever fails', { concurrency: true }, () => {
  test('etcd: no acknowledged change is lost, none is half done, and all books agree', async (t) => {
    const { acknowledged, unknown } = await run(t, 'etcd', [
      'a member of etcd is killed',
      'the leader of etcd is killed',
      'answers of etcd do not reach the controller for longer than its lease',
      'the disk of a member is full',
      'etcd drops the past that a watch has not seen',
      'the controller is killed',
    ]);
    assert.ok(acknowledged > 50, `${acknowledged} changes were acknowledged`);
    assert.ok(unknown > 0, 'some answers were lost');
  });

  test('three controllers: no acknowledged change is lost, and no client sees what was before', async (t) => {
    const { acknowledged, unknown, programs } = await run(t, 'several', [
      'answers of etcd do not reach the controller for longer than its lease',
      'the leader is stopped until another one leads',
      'clocks are hours apart, and another controller leads',
      'the controller is killed',
    ]);
    assert.ok(acknowledged > 30, `${acknowledged} changes were acknowledged`);
    assert.ok(unknown > 0, 'some answers were lost');
    assert.ok(programs > 5, `agents have accepted ${programs} programs`);
  });

  test('file: no acknowledged change is lost, none is half done, and all books agree', async (t) => {
    const { acknowledged } = await run(t, 'file', [
      'the controller is killed',
      'the controller is stopped, not ended',
      'the disk of the controller is full',
      'the disk of the controller is slow',
      'the clock of the controller jumps',
    ]);
    assert.ok(acknowledged > 100, `${acknowledged} changes were acknowledged`);
  });
});
