/** What the agent says of containers that its user may not read. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { ContainerSource } from '../src/discovery/containers.ts';
import { isRoot, temporaryFolder } from './support.ts';

/** A user that owns nothing. */
const NOBODY = 65_534;

test('a runtime that the user of the agent may not read is a problem with the remedy', {
  skip: !isRoot && 'needs root',
}, async (t) => {
  const folder = temporaryFolder(t);
  const bundles = join(folder, 'k8s.io');
  mkdirSync(bundles);
  chmodSync(folder, 0o755);
  chmodSync(bundles, 0o700);
  const source = new ContainerSource({
    runtimes: bundles,
    node: 'node-1',
    scope: undefined,
    log: createLog('x', 'silent'),
  });
  t.after(() => {
    process.seteuid!(0);
    source.unfollow();
  });
  process.seteuid!(NOBODY);
  const [problem, ...more] = (await source.read())?.problems ?? [];
  assert.deepEqual([problem?.code, more], ['IDENTITY_UNREADABLE', []]);
  assert.match(problem!.message, /k8s\.io: EACCES: .*systemctl edit mirrorplane-agent.*User=root.*--containers off/);
  process.seteuid!(0);
  assert.deepEqual((await source.read())?.problems, [], 'root may read it');
  // What is not there at all is no problem.
  const none = new ContainerSource({
    runtimes: join(folder, 'none'),
    node: 'node-1',
    scope: undefined,
    log: createLog('x', 'silent'),
  });
  t.after(() => none.unfollow());
  assert.equal(await none.read(), undefined);
});
