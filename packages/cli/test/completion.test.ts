/**
 * Completion as users of each shell see it: a real shell loads the script, and the test reads its
 * offers.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { complete } from '../src/complete/index.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';
import { run } from './run.ts';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));

const controller = new Controller();
const { env } = controller;
let folder: string;
before(async () => {
  await controller.start();
  const applied = await run(['apply', '-f', '-'], { env, input: CLUSTER });
  assert.equal(applied.code, 0, applied.stderr);
  const made = await run(['policy', 'create', 'ids-web', '--source', 'web-1/0', '--destination', 'ids-1/0'], { env });
  assert.equal(made.code, 0, made.stderr);
  // A command of this name on the path, as with a package.
  folder = mkdtempSync(join(tmpdir(), 'completion-'));
  writeFileSync(join(folder, 'mirrorplane'), `#!/bin/sh\nexec ${COMMAND} "$@"\n`);
  chmodSync(join(folder, 'mirrorplane'), 0o755);
});
after(async () => {
  await controller.close();
  rmSync(folder, { recursive: true });
});

const of = (...words: string[]) => complete(words, env);

describe('completion', () => {
  it('offers commands, and the verbs of a noun', async () => {
    assert.ok((await of('')).includes('policy'));
    assert.ok((await of('')).includes('agent'));
    assert.deepEqual(await of('pol'), ['policy']);
    assert.deepEqual(await of('node', 'de'), ['delete']);
    assert.deepEqual(await of('-o', 'json', 'pool', 's'), ['show']);
  });

  it('offers the names of what a command is about, and none for what is still to be made', async () => {
    assert.deepEqual(await of('policy', 'show', ''), ['ids-web']);
    assert.deepEqual(await of('node', 'delete', 'node-1', 'node-'), ['node-1', 'node-2', 'node-9']);
    assert.deepEqual(await of('interface', 'show', 'web'), ['web-1/0', 'web-2/0', 'web-3/0']);
    assert.deepEqual(await of('policy', 'show', 'ids-web', ''), [], 'it takes one');
    assert.deepEqual(await of('policy', 'create', ''), []);
  });

  it('offers what an option takes: names, choices, or options', async () => {
    assert.deepEqual(await of('policy', 'create', 'x', '--source', 'db-1/0', 'web-1'), ['web-1/0']);
    assert.deepEqual(await of('policy', 'create', 'x', '--source', 'db-1/0', '--dest'), ['--destination']);
    assert.deepEqual(await of('policy', 'create', 'x', '--destination', 'ids'), ['ids-1/0', 'ids-2/0']);
    assert.deepEqual(await of('pool', 'create', 'x', '--domain', ''), ['blue', 'red']);
    assert.deepEqual(await of('policy', 'list', '-o', ''), ['json', 'name', 'table', 'wide', 'yaml']);
    assert.deepEqual(await of('completion', ''), ['bash', 'fish', 'zsh']);
  });

  it('offers no names, and says nothing, where there is no controller', async () => {
    assert.deepEqual(await complete(['--url', 'http://127.0.0.1:1', 'policy', 'show', ''], env), []);
    const { code, stderr } = await run(['__complete', '--url', 'nonsense', 'policy', 'show', '']);
    assert.deepEqual([code, stderr], [0, '']);
  });

  it('works in bash', async () => {
    const script = `source <(mirrorplane completion bash)
      COMP_WORDS=(mirrorplane policy show i) COMP_CWORD=3
      _mirrorplane && echo "\${COMPREPLY[@]}"`;
    assert.equal(await shell('bash', ['-c', script]), 'ids-web');
  });

  it('works in fish', { skip: !existsSync('/usr/bin/fish') }, async () => {
    const script = 'mirrorplane completion fish | source; complete -C "mirrorplane policy show i"';
    assert.equal(await shell('fish', ['-c', script]), 'ids-web');
    const words = 'mirrorplane completion fish | source; cd /; complete -C "mirrorplane completion "';
    assert.equal(await shell('fish', ['-c', words]), 'bash\nfish\nzsh', 'no file among the words');
    const files = 'mirrorplane completion fish | source; complete -C "mirrorplane apply -f /etc/host"';
    assert.match(await shell('fish', ['-c', files]), /^\/etc\/hosts\b/m);
  });

  it('works in zsh', { skip: !existsSync('/usr/bin/zsh') }, async () => {
    // zsh completes only on a terminal. The test sets `words` as zsh would, and its compadd prints
    // the arguments.
    const script = `compdef() { :; }; source <(mirrorplane completion zsh)
      compadd() { shift; echo "$@"; }
      words=(mirrorplane policy show i) CURRENT=4; _mirrorplane`;
    assert.equal(await shell('zsh', ['-f', '-c', script]), 'ids-web');
  });
});

async function shell(program: string, argv: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, argv, {
    env: { ...process.env, ...env, PATH: `${folder}:${process.env.PATH}`, HOME: folder },
    timeout: 30_000,
  });
  return stdout.trim();
}
