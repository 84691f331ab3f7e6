/** The same compiler makes the same objects, wherever, whenever and by whomever they are built. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';

const BPF = join(ROOT, 'packages/bpf');
const OBJECTS = ['mirror.bpf.o', 'hear.bpf.o'];
const NOBODY = 65_534;

const sums = (folder: string) =>
  OBJECTS.map((name) =>
    createHash('sha256')
      .update(readFileSync(join(folder, 'dist', name)))
      .digest('hex'),
  );

test('objects built in another folder, by another user, in another language and time zone have the same bytes', (t) => {
  const above = mkdtempSync(join(tmpdir(), 'mirrorplane-objects-'));
  t.after(() => rmSync(above, { recursive: true, force: true }));
  const folder = join(above, 'a folder/with another name');
  mkdirSync(folder, { recursive: true });
  for (const part of ['src', 'Makefile']) {
    cpSync(join(BPF, part), join(folder, part), { recursive: true });
  }
  for (const path of [above, join(above, 'a folder'), folder]) {
    chownSync(path, NOBODY, NOBODY);
  }
  execFileSync('make', ['-s', '-C', folder], {
    uid: NOBODY,
    gid: NOBODY,
    env: { PATH: process.env.PATH, HOME: '/nonexistent', LC_ALL: 'C', TZ: 'Asia/Tokyo' },
  });
  assert.deepEqual(sums(folder), sums(BPF));
  const text = readFileSync(join(BPF, 'dist/mirror.bpf.o'), 'latin1');
  assert.ok(!text.includes(ROOT), 'the object names no folder of this machine');
});
