/** Files and folders that others can change or replace are refused with what to do about it. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { requireNotReplaceable, requireOwnFolder, requireOwnProgram } from '../src/index.ts';
import { readSettingsFile } from '../src/settings-file.ts';

const NOBODY = 65_534;
const asRoot = { skip: process.getuid?.() === 0 ? false : 'SKIPPED: needs root' };

function folderFor(t: TestContext): string {
  const above = mkdtempSync(join(tmpdir(), 'mirrorplane-own-'));
  t.after(() => rmSync(above, { recursive: true, force: true }));
  const folder = join(above, 'data');
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, 'ca.key'), 'secret', { mode: 0o600 });
  writeFileSync(join(folder, 'ca.crt'), 'certificate', { mode: 0o644 });
  return folder;
}

describe('a data folder', asRoot, () => {
  test('with files of its user alone is used', (t) => {
    requireOwnFolder(folderFor(t));
  });

  const cases: [string, (folder: string) => void, RegExp][] = [
    ['that the group can write', (folder) => chmodSync(folder, 0o770), /other users may write .*0770.*chmod go-w/],
    ['of another user', (folder) => chownSync(folder, NOBODY, NOBODY), /data belongs to user 65534: run "chown root:/],
    ['with a key that others read', (folder) => chmodSync(join(folder, 'ca.key'), 0o644), /ca\.key .*chmod 600/],
    [
      'with keys of WireGuard that others read',
      (folder) => writeFileSync(join(folder, 'wireguard.json'), '{}', { mode: 0o644 }),
      /wireguard\.json .*chmod 600/,
    ],
    ['with a file that others write', (folder) => chmodSync(join(folder, 'ca.crt'), 0o666), /ca\.crt .*chmod go-w/],
    [
      'with a file of another user',
      (folder) => chownSync(join(folder, 'ca.crt'), NOBODY, 0),
      /ca\.crt belongs to user/,
    ],
    [
      'with a link in the place of a key',
      (folder) => {
        renameSync(join(folder, 'ca.key'), join(folder, 'elsewhere'));
        symlinkSync(join(folder, 'elsewhere'), join(folder, 'ca.key'));
      },
      /ca\.key is a symbolic link: put the file itself there/,
    ],
    ['in a folder of another user', (folder) => chownSync(join(folder, '..'), NOBODY, 0), /user 65534 owns .*replace/],
    ['in a folder that all can write', (folder) => chmodSync(join(folder, '..'), 0o777), /all users .*chmod o-w/],
    [
      'in a folder that another group can write',
      (folder) => {
        chownSync(join(folder, '..'), 0, NOBODY);
        chmodSync(join(folder, '..'), 0o775);
      },
      /group 65534 may write .*chmod g-w/,
    ],
  ];
  for (const [what, change, message] of cases) {
    test(`${what} is refused, with the remedy`, (t) => {
      const folder = folderFor(t);
      change(folder);
      assert.throws(() => requireOwnFolder(folder), message);
    });
  }

  test('in a sticky folder is used, because others cannot replace it there', (t) => {
    const folder = folderFor(t);
    chmodSync(join(folder, '..'), 0o1777);
    requireOwnFolder(folder);
    requireNotReplaceable(join(folder, '../absent/too'));
  });

  test('that a link leads to is judged by where the link leads', (t) => {
    const folder = folderFor(t);
    const link = join(folder, '../link');
    symlinkSync(folder, link);
    requireOwnFolder(link);
    chmodSync(folder, 0o777);
    assert.throws(() => requireOwnFolder(link), /other users may write/);
  });
});

test('a program or settings that others can change are refused, also by another name', asRoot, (t) => {
  const folder = folderFor(t);
  const file = join(folder, 'mirror.bpf.o');
  writeFileSync(file, 'logLevel: info\n', { mode: 0o644 });
  requireOwnProgram(file, import.meta.filename);
  assert.deepEqual(readSettingsFile(file), { logLevel: 'info' });
  linkSync(file, join(folder, 'other-name'));
  symlinkSync(file, join(folder, 'link'));
  chmodSync(file, 0o664);
  for (const name of ['mirror.bpf.o', 'other-name', 'link']) {
    const path = join(folder, name);
    assert.throws(() => requireOwnProgram(path, import.meta.filename), /other users may write .*chmod go-w/);
    assert.throws(() => readSettingsFile(path), /other users may write .*chmod go-w/);
  }
  chmodSync(file, 0o644);
  chownSync(file, NOBODY, NOBODY);
  assert.throws(() => requireOwnProgram(file, import.meta.filename), /belongs to user 65534: run "chown root:/);
  assert.throws(() => readSettingsFile(file), /belongs to user 65534/);
});
