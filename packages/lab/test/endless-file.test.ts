/**
 * A test file that does not end has failed after a limit. Without that, one file stops a whole check
 * of the tree, and nothing says which.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
