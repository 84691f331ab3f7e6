/** Settings come from the command line, the environment and a file, in this order. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readSecretFile } from '../src/private-file.ts';
import { parseSettings } from '../src/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'settings-'));
after(() => rmSync(folder, { recursive: true }));

function rate(text: string): number {
  if (!(Number(text) >= 1)) {
    throw new InvalidArgumentError('use at least 1 Mbit/s.');
  }
  return Number(text);
}

interface Given {
  file?: string;
  /** Permission bits of the file. Default 0600 */
  mode?: number;
  env?: Record<string, string>;
  argv?: string[];
}

/** The values that a command with options of every kind ends up with. */
function settle({ file, mode = 0o600, env = {}, argv = [] }: Given): Record<string, unknown> {
  const command = new Command('daemon')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .requiredOption('--data <dir>', 'a folder')
    .option('--listen <address>', 'a list', (value, before: string[] | undefined) => [...(before ?? []), value])
    .option('--max-rate <mbit>', 'a number', rate)
    .option('--no-arrive', 'switched off')
    .addOption(new Option('--token <token>', 'one of two').env('OWN_TOKEN'))
    .addOption(new Option('--token-file <file>', 'the other').conflicts('token'))
    .addOption(new Option('--log-level <level>', 'one of these').choices(['info', 'warn']).default('info'))
    .option('--uninstall', 'done once')
    .option('-o, --output <format>', 'for a person');
  const path = join(folder, 'daemon.yaml');
  if (file !== undefined) {
    writeFileSync(path, file);
    chmodSync(path, mode);
  }
  const config = file === undefined ? [] : ['--config', path];
  parseSettings(command, { prefix: 'X', env, argv: ['node', 'daemon', ...argv, ...config] });
  const { config: _config, ...values } = command.opts();
  return values;
}

const refusal = (given: Given) => {
  try {
    settle(given);
  } catch (error) {
    return (error as Error).message.replaceAll(folder, '/etc');
  }
  return 'taken';
};

test('the command line comes before the environment, that before the file, that before the default', () => {
  const file = 'data: /file\nmaxRate: 1\nlogLevel: warn\n';
  assert.deepEqual(settle({ file }), { data: '/file', maxRate: 1, logLevel: 'warn', arrive: true });
  const env = { X_DATA: '/env', X_MAX_RATE: '2' };
  assert.deepEqual(settle({ file, env }), { data: '/env', maxRate: 2, logLevel: 'warn', arrive: true });
  assert.deepEqual(settle({ file, env, argv: ['--max-rate', '3'] }), {
    data: '/env',
    maxRate: 3,
    logLevel: 'warn',
    arrive: true,
  });
  assert.deepEqual(settle({ argv: ['--data', '/cli'] }), { data: '/cli', logLevel: 'info', arrive: true });
});

test('a list of a better source takes the place of the other one, and is not added to it', () => {
  const file = 'data: /d\nlisten:\n  - 127.0.0.1:1\n  - unix:/run/x\n';
  assert.deepEqual(settle({ file }).listen, ['127.0.0.1:1', 'unix:/run/x']);
  assert.deepEqual(settle({ file, env: { X_LISTEN: '127.0.0.1:2' } }).listen, ['127.0.0.1:2']);
  assert.deepEqual(settle({ file, argv: ['--listen', '127.0.0.1:3'] }).listen, ['127.0.0.1:3']);
});

test('an option with --no-… is true or false in the file and in the environment', () => {
  assert.equal(settle({ file: 'data: /d\narrive: false\n' }).arrive, false);
  assert.equal(settle({ file: 'data: /d\narrive: true\n', argv: ['--no-arrive'] }).arrive, false);
  assert.equal(settle({ file: 'data: /d\narrive: false\n', env: { X_ARRIVE: 'true' } }).arrive, true);
  assert.match(
    refusal({ file: 'data: /d\narrive: maybe\n' }),
    /^error: \/etc\/daemon.yaml: arrive: use true or false$/,
  );
});

test('of two that exclude each other the better source counts, and two in one place are refused', () => {
  const file = 'data: /d\ntokenFile: /t\n';
  assert.equal(settle({ file }).tokenFile, '/t');
  const { token, tokenFile } = settle({ file, argv: ['--token', 'abc'] });
  assert.deepEqual([token, tokenFile], ['abc', undefined]);
  assert.match(refusal({ file: `${file}token: abc\n` }), /exclude each other: remove one of them/);
});

test('an option with a second name in the environment is read there, after its name with the prefix', () => {
  const data = { X_DATA: '/d' };
  assert.equal(settle({ env: { ...data, OWN_TOKEN: 'own' } }).token, 'own');
  assert.equal(settle({ env: { ...data, OWN_TOKEN: 'own', X_TOKEN: 'x' } }).token, 'x');
  assert.equal(settle({ env: { ...data, OWN_TOKEN: '' } }).token, undefined);
  assert.equal(settle({ env: { ...data, OWN_TOKEN: 'own' }, argv: ['--token', 'cli'] }).token, 'cli');
  assert.equal(settle({ env: { ...data, OWN_TOKEN: 'own' }, file: 'token: file\n' }).token, 'own');
  const chosen = settle({ env: { ...data, OWN_TOKEN: 'own' }, argv: ['--token-file', '/t'] });
  assert.deepEqual([chosen.token, chosen.tokenFile], [undefined, '/t'], 'the command line excludes it');
});

test('a value of the file is taken as written: a number keeps its zeros, and the file is refused if it has an alias', () => {
  const inFile = (token: string) => settle({ file: `data: /d\ntoken: ${token}\n` }).token;
  for (const text of ['0815', '1e3', '0x10', '12345678901234567890', '1.10']) {
    assert.equal(inFile(text), text);
  }
  assert.equal(settle({ file: 'data: /d\nmaxRate: 1e3\n' }).maxRate, 1000);
  assert.match(refusal({ file: 'data: &a /d\ntoken: *a\n' }), /^error: \/etc\/daemon.yaml: .*alias/);
  assert.match(refusal({ file: '__proto__: {data: /d}\n' }), /there is no setting "__proto__"/);
  assert.match(refusal({ file: `data: ${'['.repeat(20_000)}\n` }), /^error: \/etc\/daemon.yaml: /);
});

test('an error in a file is refused with the name of the file, the key and the remedy', () => {
  assert.equal(
    refusal({ file: 'data: /d\nmaxrate: 1\n' }),
    'error: /etc/daemon.yaml: there is no setting "maxrate": use data, listen, maxRate, arrive, token, tokenFile, logLevel',
  );
  assert.equal(
    refusal({ file: 'data: /d\nmaxRate: none\n' }),
    'error: /etc/daemon.yaml: maxRate: "none" cannot be used: use at least 1 Mbit/s.',
  );
  assert.match(refusal({ file: 'data: /d\nlogLevel: loud\n' }), /logLevel: "loud" cannot be used: .*info, warn/);
  assert.match(refusal({ file: 'data:\n' }), /data: it has no value: give a value, or remove it/);
  assert.match(refusal({ file: 'data: [/a, /b]\n' }), /data: it takes one value, not a list/);
  assert.match(refusal({ file: 'data: {a: 1}\n' }), /data: it is not a plain value/);
  assert.match(refusal({ file: 'a: [\n' }), /this is not YAML/);
  assert.match(refusal({ file: '- a\n' }), /write one setting per line/);
  assert.match(refusal({ file: `# ${'x'.repeat(70_000)}\n` }), /the limit is 65536/);
  assert.match(refusal({ argv: ['--config', `${folder}/none.yaml`] }), /none.yaml: the file does not exist/);
});

test('an option for one call cannot be set in the file or in the environment', () => {
  assert.match(refusal({ file: 'data: /d\nuninstall: true\n' }), /there is no setting "uninstall"/);
  assert.match(refusal({ file: 'data: /d\noutput: json\n' }), /there is no setting "output"/);
  assert.equal(settle({ argv: ['--data', '/d'], env: { X_UNINSTALL: 'true' } }).uninstall, undefined);
});

test('a required option may be in any of the three places, and an error asks for it if it is in none', () => {
  assert.equal(settle({ env: { X_DATA: '/env' } }).data, '/env');
  assert.match(refusal({ file: 'maxRate: 1\n' }), /--data is missing: give it, or set X_DATA, or "data" in the file/);
});

test('a file with a secret that other users can read is refused', () => {
  const path = join(folder, 'token');
  writeFileSync(path, 'abc\n');
  chmodSync(path, 0o644);
  assert.throws(() => readSecretFile(path, 'a join token'), /too open for a join token \(mode 0644\): .*chmod 600 /);
  chmodSync(path, 0o600);
  assert.equal(readSecretFile(path, 'a join token'), 'abc');
});
