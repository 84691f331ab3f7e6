/** Options that say where the store is. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Command } from 'commander';
import { addStoreOptions, etcdOptionsOf } from '../../src/store/options.ts';
import { temporaryFolder } from '../harness.ts';
import { makeEtcdFiles } from './etcd-members.ts';

const MAIN = path.join(import.meta.dirname, '../../src/main.ts');

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
  const { certificate, key } = makeEtcdFiles(t);
  const words = ['--etcd', 'https://a:2379', '--etcd-cert', certificate, '--etcd-key', key];
  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    chmodSync(key, mode);
    const isOpen = (mode & 0o027) !== 0;
    if (isOpen) {
      assert.throws(
        () => optionsOf(...words),
        /own\.key is too open for the key of etcd .*chmod 600/,
        mode.toString(8),
      );
    } else {
      assert.equal(optionsOf(...words)?.tls?.key, key);
    }
  }
  chmodSync(key, 0o600);
  assert.equal(optionsOf(...words)?.tls?.key, key);
});

test('files of TLS that cannot be right are refused with the name of their option', (t) => {
  const [files, others] = [makeEtcdFiles(t), makeEtcdFiles(t)];
  const folder = temporaryFolder(t);
  const file = (name: string, content: string) => {
    writeFileSync(path.join(folder, name), content, { mode: 0o600 });
    return path.join(folder, name);
  };
  const etcd = ['--etcd', 'https://a:2379'];
  const text = file('text', 'no certificate\n');
  const damaged = file('damaged', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  const absent = path.join(folder, 'absent');
  for (const [words, message] of [
    [['--etcd-ca', absent], /^--etcd-ca: there is no file .*absent$/],
    [['--etcd-ca', text], /^--etcd-ca: .*text has no certificate in PEM/],
    [['--etcd-ca', damaged], /^--etcd-ca: a certificate in .*damaged is damaged/],
    [['--etcd-ca', folder], /^--etcd-ca: EISDIR/],
    [['--etcd-cert', absent, '--etcd-key', files.key], /^--etcd-cert: there is no file/],
    [['--etcd-cert', files.certificate, '--etcd-key', absent], /^--etcd-key: there is no file/],
    [['--etcd-cert', files.certificate, '--etcd-key', text], /^--etcd-key: .*text has no key in PEM/],
    [['--etcd-cert', files.certificate, '--etcd-key', others.key], /^--etcd-key: .* is not the key of the certificate/],
    [['--etcd-user', 'x', '--etcd-password-file', absent], /^--etcd-password-file: there is no file/],
  ] as const) {
    assert.throws(() => optionsOf(...etcd, ...words), { message });
  }
  const all = ['--etcd-ca', files.ca, '--etcd-cert', files.certificate, '--etcd-key', files.key];
  assert.equal(optionsOf(...etcd, ...all)?.tls?.ca, files.ca);
  assert.throws(
    () => optionsOf('--etcd', 'http://127.0.0.1:2379', ...all),
    /^Error: --etcd-ca is given, and no member/,
  );
});

test('an address that is none, and an option whose partner is missing, are refused by name', () => {
  for (const url of ['etcd-1:2379', 'ftp://a', 'https://user:secret@a:2379', 'https://a:2379/v3', '']) {
    assert.throws(() => optionsOf('--etcd', url), /https:\/\/HOST:2379/, url);
  }
  const etcd = ['--etcd', 'https://a:2379'];
  assert.throws(() => optionsOf(...etcd, '--etcd-cert', 'x'), /--etcd-cert is given, and --etcd-key is missing/);
  assert.throws(() => optionsOf(...etcd, '--etcd-password-file', 'x'), /--etcd-user is missing/);
  for (const [option, ...rest] of [
    ['--etcd-ca', 'x'],
    ['--etcd-cert', 'x', '--etcd-key', 'x'],
    ['--etcd-user', 'x', '--etcd-password-file', 'x'],
    ['--etcd-insecure-http', 'true'],
  ] as const) {
    assert.throws(() => optionsOf(option, ...rest), new RegExp(`${option} is given, and --etcd is missing`));
  }
  assert.equal(optionsOf('--etcd-insecure-http', 'false'), undefined);
});

test('a controller refuses an option for several ones without etcd', (t) => {
  const data = temporaryFolder(t);
  const words = ['--data', data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0'];
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...words, '--advertise', 'ctl-1:7071'], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.match(stderr, /--advertise is given, and --etcd is missing/);
  assert.equal(status, 1);
  assert.deepEqual(readdirSync(data), []);
});
