/** The demo, as `make demo ONCE=1` runs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

test('the demo exits 0 with one row for each policy type, and sent, copied and received agree in each', async () => {
  const script = join(ROOT, 'scripts', 'run.sh');
  const child = spawn(script, ['packages/lab/src/demo/main.ts', '--once'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${out}\n${err}`);
  const rows = out
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((cells) => cells.length === 6 && cells.at(-1) === 'yes');
  assert.deepEqual(rows.map((cells) => cells[1]).sort(), ['physical', 'virtual', 'virtual-to-physical'], out);
  for (const [policy, , sent, copied, received] of rows) {
    assert.ok(Number(sent) > 0, policy);
    assert.deepEqual([copied, received], [sent, sent], policy);
  }
});
