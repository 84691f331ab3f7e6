/** The CPU priority of an agent. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const code = `
  import { comeFirst } from '${new URL('../src/host/priority.ts', import.meta.url)}';
  import { createLog } from '${new URL('../../daemon/src/log.ts', import.meta.url)}';
  comeFirst(createLog('agent', 'error'));
  console.log('ready');
  setInterval(() => {}, 1000);
`;

/** Runs `check` beside a process that has put itself first. */
async function first(detached: boolean, check: (pid: number) => void): Promise<void> {
  const argv = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code];
  const child: ChildProcess = spawn(process.execPath, argv, { detached, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout!, 'data');
    check(child.pid!);
  } finally {
    child.kill('SIGKILL');
  }
}

const niceOf = (pid: number) => Number(execFileSync('ps', ['-o', 'ni=', '-p', String(pid)], { encoding: 'utf8' }));
const groupOf = (pid: number) => readFileSync(`/proc/${pid}/autogroup`, 'utf8').trim();
const skip = existsSync('/proc/self/autogroup') ? false : 'SKIPPED: the kernel does not group processes by session';

/** Of all threads: the main one waits for others while garbage is collected. */
const threadsOf = (pid: number) =>
  execFileSync('ps', ['-L', '-o', 'ni=', '-p', String(pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number);

test('an agent comes before ordinary processes, with all its threads', () =>
  first(true, (pid) => {
    assert.equal(niceOf(pid), -10);
    const threads = threadsOf(pid);
    assert.ok(threads.length > 1 && threads.every((nice) => nice === -10), threads.join());
  }));

test('an agent with a session of its own comes first with the whole session', { skip }, () =>
  first(true, (pid) => assert.match(groupOf(pid), / nice -10$/)),
);

test('an agent leaves a session alone that others are in', { skip }, () => {
  const before = groupOf(process.pid);
  return first(false, (pid) => {
    assert.equal(niceOf(pid), -10);
    assert.equal(groupOf(pid), before);
    assert.equal(groupOf(process.pid), before);
  });
});
