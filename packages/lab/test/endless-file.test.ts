/**
 * A test file that does not end has failed after a limit. Without that, one file stops a whole check
 * of the tree, and nothing says which.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';

const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-endless-'));
after(() => rmSync(folder, { recursive: true }));

const script = join(import.meta.dirname, '../../../scripts/test-file.sh');

/** Runs a test file that has `text`, and gives what is said and the exit status. `limit` in seconds. */
function runFile(text: string, limit = 5) {
  const file = join(folder, 'some.test.mjs');
  writeFileSync(file, `import { test } from 'node:test';\n${text}\n`);
  // A test that runs below another runner reports to that one, and not in words.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout, status } = spawnSync(script, [file], {
    encoding: 'utf8',
    env: { ...env, LIMIT: String(limit), TRIES: '1' },
    timeout: 150_000,
  });
  return { stdout, status };
}

test('a file with a timer that nobody stops is ended, and named', () => {
  const { stdout, status } = runFile("test('ended', () => {}); setInterval(() => {}, 1000);");
  assert.match(stdout, /✔ ended/);
  assert.match(stdout, /NOT ENDED .*some\.test\.mjs: after 5 seconds/);
  assert.equal(status, 1);
});

test('so is a file whose output a process holds open, and that process', async () => {
  const { stdout, status } = runFile(`import { spawn } from 'node:child_process';
test('ended', (t) => {
  const left = spawn('sleep', ['3600'], { stdio: 'inherit' });
  left.unref();
  t.diagnostic('left=' + left.pid);
});`);
  assert.match(stdout, /NOT ENDED .*some\.test\.mjs/);
  assert.equal(status, 1);
  const left = Number(/left=(\d+)/.exec(stdout)?.[1]);
  assert.ok(left > 1);
  await until('the process that was left has ended', () => !existsSync(`/proc/${left}`));
});

test('a file that ends is not', () => {
  const { stdout, status } = runFile("test('ended', () => {});", 120);
  assert.doesNotMatch(stdout, /NOT ENDED/);
  assert.equal(status, 0);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a run that ends by ${signal} leaves no lab`, { timeout: 180_000 }, async () => {
    const name = `z${(process.pid % 36 ** 4).toString(36)}`;
    const state = `/run/mirrorplane-lab/${name}`;
    const begun = join(folder, signal);
    const file = join(folder, 'lab.test.mjs');
    const support = join(import.meta.dirname, '../../../test/support/lab.ts');
    writeFileSync(
      file,
      `import { test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { useLab } from '${support}';
useLab({ name: '${name}', bare: true });
test('endless', () => new Promise(() => {
  writeFileSync('${begun}', String(process.pid));
  setInterval(() => {}, 1000);
}));`,
    );
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawn(script, [file], { env: { ...env, TRIES: '1' }, stdio: 'ignore' });
    await until('the test has begun', () => existsSync(begun) && readFileSync(begun, 'utf8') !== '', {
      limitMs: 60_000,
    });
    assert.ok(existsSync(state));
    if (signal === 'SIGTERM') {
      run.kill(signal);
    } else {
      process.kill(Number(readFileSync(begun, 'utf8')), signal);
    }
    await until('the lab is gone', () => !existsSync(state), { limitMs: 60_000 });
    assert.deepEqual(
      readdirSync('/run/netns').filter((one) => one.startsWith(name)),
      [],
    );
  });
}
