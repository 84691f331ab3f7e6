/** The lines of every daemon have one form. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { pino } from 'pino';
import { logOptions } from '../src/log.ts';

test('a line has its level by name, the time as ISO 8601, the daemon, its fields and the message, and nothing of the host', () => {
  let line = '';
  const log = pino(logOptions('agent', 'info'), {
    write: (text: string) => {
      line += text;
    },
  });
  log.debug('too low');
  log.warn({ device: 'tap3', err: new Error('no such device') }, 'capture refused');
  const { time, err, ...rest } = JSON.parse(line);
  assert.deepEqual(rest, { level: 'warn', daemon: 'agent', device: 'tap3', msg: 'capture refused' });
  assert.equal(new Date(time).toISOString(), time);
  assert.equal(err.message, 'no such device');
});

test('a process that becomes another one when its log is flushed loses no line', async () => {
  const script = `
    import { createLog } from '${import.meta.resolve('../src/log.ts')}';
    const log = createLog('agent', 'info');
    for (let line = 0; line < 20; line++) {
      log.info({ line }, 'told');
    }
    await new Promise((done) => log.flush(done));
    // Nothing waits to be written here.
    await new Promise((done) => log.flush(done));
    process.execve('/bin/echo', ['echo', 'is another one'], {});
  `;
  const argv = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script];
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve, reject) => {
    execFile(process.execPath, argv, (error, stdout, stderr) => (error ? reject(error) : resolve({ stdout, stderr })));
  });
  assert.equal(stdout, 'is another one\n');
  const lines = stderr.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { line: number }).line),
    Array.from({ length: 20 }, (_, line) => line),
  );
});
