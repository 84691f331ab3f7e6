/** Where the join token comes from, and where it must not be seen. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { takeJoinToken } from '../src/join-token.ts';

const MIRRORPLANE = join(import.meta.dirname, '../../../bin/mirrorplane');
const SECRET = `mp1.${'s'.repeat(43)}.${'ab'.repeat(32)}`;
const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-token-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'token');
writeFileSync(file, `${SECRET}\n`, { mode: 0o600 });

test('a token comes from a file, or else from the environment, where no child finds it any more', () => {
  assert.equal(takeJoinToken(undefined, {}), undefined);
  process.env.MIRRORPLANE_JOIN_TOKEN = 'of the environment';
  const seen = () => execFileSync('env', { encoding: 'utf8' }).includes('MIRRORPLANE_JOIN_TOKEN');
  assert.ok(seen());
  assert.equal(takeJoinToken(undefined), 'of the environment');
  assert.ok(!seen());
  const env = { MIRRORPLANE_JOIN_TOKEN: 'of the environment', MIRRORPLANE_TOKEN: 'of the API' };
  assert.equal(takeJoinToken(file, env), SECRET);
  assert.deepEqual(env, { MIRRORPLANE_TOKEN: 'of the API' });
  assert.equal(takeJoinToken(undefined, env), undefined);
});

test('a file that others can read is refused', () => {
  chmodSync(file, 0o644);
  assert.throws(() => takeJoinToken(file, {}), /too open for a join token/);
  chmodSync(file, 0o600);
});

test('a token on the command line is refused with the remedy, and is not repeated', () => {
  const given: [argv: string[], env: NodeJS.ProcessEnv][] = [
    [['--token', SECRET], {}],
    [[`--token=${SECRET}`], {}],
    [[], { MIRRORPLANE_AGENT_TOKEN: SECRET }],
  ];
  for (const [argv, env] of given) {
    const options = { encoding: 'utf8', env: { ...process.env, ...env } } as const;
    const { status, stdout, stderr } = spawnSync(MIRRORPLANE, ['agent', '--node', 'node-1', ...argv], options);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /--token-file FILE.*MIRRORPLANE_JOIN_TOKEN/);
    assert.ok(!`${stdout}${stderr}`.includes(SECRET));
  }
});

test('the help names the file and the variable, and not the token on the command line', () => {
  const { stdout } = spawnSync(MIRRORPLANE, ['agent', '--help'], { encoding: 'utf8' });
  assert.match(stdout, /--token-file <file>/);
  assert.match(stdout, /MIRRORPLANE_JOIN_TOKEN/);
  assert.ok(!stdout.includes('--token <token>'));
});
