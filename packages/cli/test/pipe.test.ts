/** `apply -f -` with pipes that are slow, long or broken. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Controller } from './controller.ts';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));

describe('a document by a pipe', () => {
  const controller = new Controller();
  before(() => controller.start());
  after(() => controller.close());

  /** Runs a shell script with the file as $1; `mirrorplane` is the command. */
  async function shell(script: string, file: string) {
    const text = `mirrorplane() { ${COMMAND} "$@"; }; ${script}`;
    const child = spawn('bash', ['-c', text, 'bash', file], { env: { ...process.env, ...controller.env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      stdout += part;
    });
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      stderr += part;
    });
    const [code] = await once(child, 'close');
    return { code, stdout, stderr };
  }

  const fileOf = (name: string, text: string) => {
    const file = join(controller.folder, name);
    writeFileSync(file, text);
    return file;
  };

  it('is read to its end, however late it comes', async () => {
    const file = fileOf('late.yaml', 'kind: Domain\nname: late\n');
    const { code, stdout, stderr } = await shell('(sleep 1; cat "$1") | mirrorplane apply -f -', file);
    assert.deepEqual([code, stdout, stderr], [0, 'domain late created\n', '']);
  });

  it('may have 300 kB, which is more than a pipe holds', async () => {
    const file = fileOf('large.yaml', `# ${'x'.repeat(300_000)}\nkind: Domain\nname: large\n`);
    const { code, stdout, stderr } = await shell('cat "$1" | mirrorplane apply -f -', file);
    assert.deepEqual([code, stdout, stderr], [0, 'domain large created\n', '']);
  });

  it('may come from a process substitution', async () => {
    const file = fileOf('sub.yaml', 'kind: Domain\nname: sub\n');
    const { code, stdout, stderr } = await shell('mirrorplane apply -f <(cat "$1")', file);
    assert.deepEqual([code, stdout, stderr], [0, 'domain sub created\n', '']);
  });

  it('is refused where it does not end, or is no text', async () => {
    const endless = await shell('yes | mirrorplane apply -f -', '');
    assert.equal(endless.code, 2);
    assert.equal(endless.stderr, 'error: stdin has more than 16 MiB: divide it into several files\n');
    const binary = await shell('printf "\\377\\376" | mirrorplane apply -f -', '');
    assert.deepEqual([binary.code, binary.stderr], [2, 'error: stdin is not text in UTF-8\n']);
  });

  it('is what "policy edit" asks for where there is no terminal for an editor', async () => {
    const file = fileOf(
      'policy.yaml',
      '{kind: vm, id: a/0}\n---\n{kind: vm, id: b/0}\n---\n{kind: Policy, name: p, sources: [a/0], destination: b/0}\n',
    );
    await shell('mirrorplane apply -f "$1"', file);
    for (const editor of ['', 'vi', '/usr/bin/nano -w']) {
      const { code, stdout, stderr } = await shell(`EDITOR="${editor}" mirrorplane policy edit p < /dev/null`, '');
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, /there is no terminal for the editor/);
      assert.match(stderr, /mirrorplane apply -f FILE/);
    }
  });
});
