/** Options that say where the store is. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Command } from 'commander';
import { addStoreOptions, etcdOptionsOf } from '../../src/store/options.ts';
import { temporaryFolder } from '../harness.ts';

const optionsOf = (...words: string[]) => {
  const command = addStoreOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return etcdOptionsOf(command.parse(words, { from: 'user' }).opts());
};

test('members are divided by commas or given one by one, and a password is read from its file', (t) => {
  const file = path.join(temporaryFolder(t), 'password');
  writeFileSync(file, 'its secret\n', { mode: 0o600 });
  assert.equal(optionsOf(), undefined);
  const words = ['--etcd', 'https://a:2379,https://b:2379/', '--etcd', 'https://c:2379'];
  const { endpoints, user } = optionsOf(...words, '--etcd-user', 'mirrorplane', '--etcd-password-file', file)!;
  assert.deepEqual(endpoints, ['https://a:2379', 'https://b:2379', 'https://c:2379']);
  assert.deepEqual(user, { name: 'mirrorplane', password: 'its secret' });
});

test('an address that is none, and an option whose partner is missing, are refused by name', () => {
  for (const url of ['etcd-1:2379', 'ftp://a', 'https://user:secret@a:2379', 'https://a:2379/v3', '']) {
    assert.throws(() => optionsOf('--etcd', url), /https:\/\/HOST:2379/, url);
  }
  const etcd = ['--etcd', 'https://a:2379'];
  assert.throws(() => optionsOf(...etcd, '--etcd-cert', 'x'), /--etcd-cert is given, and --etcd-key is missing/);
  assert.throws(() => optionsOf(...etcd, '--etcd-password-file', 'x'), /--etcd-user is missing/);
  assert.throws(() => optionsOf('--etcd-ca', 'x'), /--etcd is missing/);
});
