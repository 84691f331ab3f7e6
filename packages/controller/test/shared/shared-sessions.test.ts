/** Sign-ins and sign-outs where the store does not take them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { Sessions } from '../../src/auth/sessions.ts';
import { FirstPassword } from '../../src/people/first-password.ts';
import { ClusterKey } from '../../src/shared/cluster-key.ts';
import { SharedFiles } from '../../src/shared/shared-files.ts';
import { sessionFiles } from '../../src/shared/shared-sessions.ts';
import { SharedWriter } from '../../src/shared/writer.ts';
import { StoreUnavailableError } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness.ts';
import { MemorySpace } from './memory-space.ts';

const log = createLog('controller', 'silent');

test('a sign-in or a sign-out that the store does not have is not acknowledged, and can be repeated', async (t) => {
  const space = new MemorySpace();
  const data = temporaryFolder(t);
  const files = await SharedFiles.open(new SharedWriter(space), ClusterKey.make(data), []);
  const sessions = new Sessions({
    file: path.join(data, 'sessions.json'),
    clock: Date.now,
    isValid: () => true,
    holderOf: () => 'ann',
    log,
    copy: (all) => files.write(sessionFiles(all)),
  });
  t.after(() => sessions.close());
  const kept = () => JSON.parse(readFileSync(path.join(data, 'sessions.json'), 'utf8')).length as number;
  const stored = () => [...space.keys.keys()].filter((key) => key.startsWith('files/sessions/')).length;
  const ann = { user: 'ann', stamp: 's' };
  const { secret, session } = await sessions.begin(ann);
  assert.deepEqual([stored(), kept()], [1, 1]);

  space.fate = () => 'lost';
  await assert.rejects(sessions.end(session), StoreUnavailableError);
  assert.deepEqual([stored(), kept()], [1, 1]);
  await assert.rejects(sessions.begin(ann), StoreUnavailableError);
  assert.deepEqual([stored(), kept()], [1, 1]);

  space.fate = () => 'done';
  assert.ok(sessions.use(secret), 'the sign-out was refused, so it can be repeated');
  await sessions.end(session);
  assert.deepEqual([stored(), kept(), sessions.use(secret)], [0, 0, undefined]);
});

test('the first password is used up in the store before it is on the disk', async (t) => {
  const space = new MemorySpace();
  const data = temporaryFolder(t);
  const files = await SharedFiles.open(new SharedWriter(space), ClusterKey.make(data), []);
  const first = new FirstPassword(data, files);
  await first.keep('one two');
  space.fate = () => 'lost';
  await assert.rejects(first.usedBy('admin'), StoreUnavailableError);
  assert.ok(existsSync(first.file));
  space.fate = () => 'done';
  await first.usedBy('admin');
  assert.ok(!existsSync(first.file) && !space.keys.has('files/first-password'));
});
