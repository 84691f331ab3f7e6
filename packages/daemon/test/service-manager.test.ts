/**
 * Messages of a daemon to the service manager, received by the datagram socket of another program.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { openServiceManager } from '../src/service-manager.ts';

const folder = mkdtempSync(join(tmpdir(), 'notify-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) {
    child.kill();
  }
  rmSync(folder, { recursive: true });
});

const LISTENER = `
import socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name.startswith('@') else name)
print('listening', flush=True)
while True: print(s.recv(4096).decode(), flush=True)
`;

/** Lines that arrive at a socket. The listener is a Python program. */
async function listen(name: string): Promise<AsyncIterator<string>> {
  const child = spawn('python3', ['-c', LISTENER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'listening');
  return lines;
}

for (const name of [join(folder, 'socket'), `@mirrorplane-test-${process.pid}`]) {
  test(`says that it is ready, alive and stopping, to ${name.startsWith('@') ? 'an abstract name' : 'a path'}`, async () => {
    const lines = await listen(name);
    const env = { NOTIFY_SOCKET: name, WATCHDOG_USEC: '40000', WATCHDOG_PID: String(process.pid), PATH: '/bin' };
    const manager = await openServiceManager(env);
    assert.deepEqual(env, { PATH: '/bin' }, 'children are not told');
    manager.ready();
    manager.status('two\nlines');
    let alive = true;
    manager.watch(() => alive);
    const keep = setInterval(() => undefined, 1000);
    for (const expected of ['READY=1', 'STATUS=two lines', 'WATCHDOG=1', 'WATCHDOG=1']) {
      assert.equal((await lines.next()).value, expected);
    }
    alive = false;
    // Watchdog messages have ended, so the next message is the one about stopping. A dozen
    // intervals pass before.
    for (let at = 0; at < 12; at++) {
      await new Promise((done) => setTimeout(done, 20));
    }
    manager.stopping();
    clearInterval(keep);
    const heard: string[] = [];
    while (heard.at(-1) !== 'STOPPING=1') {
      heard.push((await lines.next()).value);
    }
    assert.ok(heard.length <= 2, `no more signs of life: ${heard}`);
  });
}

test('says nothing where there is no service manager, and nothing for another process', async () => {
  const manager = await openServiceManager({});
  manager.ready();
  manager.stopping();
  const lines = await listen(join(folder, 'other'));
  const other = await openServiceManager({
    NOTIFY_SOCKET: join(folder, 'other'),
    WATCHDOG_USEC: '1000',
    WATCHDOG_PID: '1',
  });
  other.watch(() => true);
  await new Promise((done) => setTimeout(done, 20));
  other.stopping();
  assert.equal((await lines.next()).value, 'STOPPING=1');
});

test('refuses a NOTIFY_SOCKET that is no address', async () => {
  await assert.rejects(openServiceManager({ NOTIFY_SOCKET: 'relative' }), /NOTIFY_SOCKET is "relative"/);
  await assert.rejects(openServiceManager({ NOTIFY_SOCKET: `/${'x'.repeat(108)}` }), /less than 108 bytes/);
});
