/** Options that say where the store is. */
import assert from 'node:assert/strict';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
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

test('a key that others can read is refused, and one of its owner is not', (t) => {
  const file = path.join(temporaryFolder(t), 'own.key');
  writeFileSync(file, 'a key\n');
  const words = ['--etcd', 'https://a:2379', '--etcd-cert', 'own.crt', '--etcd-key', file];
  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    chmodSync(file, mode);
    const isOpen = (mode & 0o027) !== 0;
    if (isOpen) {
      assert.throws(
        () => optionsOf(...words),
        /own\.key is too open for the key of etcd .*chmod 600/,
        mode.toString(8),
      );
    } else {
      assert.equal(optionsOf(...words)?.tls?.key, file);
    }
  }
  chmodSync(file, 0o600);
  assert.equal(optionsOf(...words)?.tls?.key, file);
  rmSync(file);
  assert.throws(() => optionsOf(...words), /ENOENT.*own\.key/);
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
