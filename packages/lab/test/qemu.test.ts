/** VMs of a lab that are QEMU machines. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { CommandError, createLab, type Lab, LabError } from '@mirrorplane/lab';
import { MIRRORPLANE } from '../src/daemons.ts';
import { run } from '../src/netns.ts';
import { isAlive } from '../src/processes.ts';
import { buildGuest, guestPackages } from '../src/qemu/guest-image.ts';
import { countedIn, type Numbered, sendNumbered } from '../src/qemu/probe.ts';
import { labName } from './helpers.ts';

/** Two boots at once on a loaded machine. */
const UP_MS = 240_000;

let lab: Lab;

before(
  async () => {
    const small = { bare: true, nodes: 3, switch: false };
    lab = await createLab({ name: labName('q'), ...small, qemu: ['web-1', 'ids-1'] });
  },
  { timeout: UP_MS },
);
after(() => lab?.down());

const ping = (from: string, to: string) =>
  lab.exec(from, ['ping', '-c', '3', '-i', '0.1', lab.address(to)], { check: false });
const links = async (node: string) => (await lab.exec(node, ['ip', '-o', 'link'])).stdout;
const inGuest = async (vm: string, script: string) => (await lab.exec(vm, ['sh', '-c', script])).stdout.trim();

test('building the guest image twice gives the same bytes', async () => {
  const packages = await guestPackages();
  const hashes = [];
  for (const _ of [1, 2]) {
    const folder = mkdtempSync(join(tmpdir(), 'guest-'));
    try {
      await buildGuest(packages, folder);
      hashes.push(
        readdirSync(folder)
          .sort()
          .map(
            (file) =>
              `${file} ${createHash('sha256')
                .update(readFileSync(join(folder, file)))
                .digest('hex')}`,
          ),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  assert.deepEqual(
    hashes[0]?.map((line) => line.split(' ')[0]),
    ['initramfs', 'packages.txt', 'vmlinuz'],
  );
  assert.deepEqual(hashes[0], hashes[1]);
});

test('a QEMU machine answers pings, echoes TCP, and its tap carries the identity', async () => {
  assert.match((await ping('db-1', 'web-1')).stdout, / 3 received/);
  assert.match(
    (await ping('web-1', 'ids-1')).stdout,
    / 3 packets received/,
    'from one machine to another, on another node',
  );
  const { stdout } = await lab.exec('db-1', ['python3', '-c', ECHO, lab.address('web-1')]);
  assert.equal(stdout.trim(), '200000 bytes came back');
  assert.match(
    await links('node-1'),
    /tap-web-1: .*alias mirrorplane:kind=vm;id=web-1\/0;name=web-1 eth0;network=blue/,
  );
});

test('a command in a QEMU machine gives its output and status, and what cannot be done is refused', async () => {
  const { code, stdout, stderr } = await lab.exec('web-1', ['sh', '-c', 'echo "it\'s"; echo bad >&2; exit 3'], {
    check: false,
  });
  assert.deepEqual({ code, stdout, stderr }, { code: 3, stdout: "it's\n", stderr: 'bad\n' });
  await assert.rejects(lab.exec('web-1', ['false']), CommandError);
  await assert.rejects(lab.exec('web-1', ['sleep', '60'], { timeoutMs: 500 }), /no end after 500 ms in the guest/);
  await until('the command to be gone', async () => !(await inGuest('web-1', 'ps')).includes('sleep 60'));
  await assert.rejects(lab.exec('web-1', ['cat'], { input: 'x' }), LabError);
  await assert.rejects(lab.exec('web-1', ['echo', 'x'.repeat(4000)]), LabError);
  assert.throws(() => lab.ns('web-1'), /web-1 is a QEMU machine .* capture on tap-web-1 of node-1/);
});

test('a guest that moves there and back keeps its memory and its network, under traffic', async () => {
  await inGuest('web-1', 'mkdir /tmp/kept && echo 42 >/tmp/kept/number');
  const before = await inGuest('web-1', 'cat /proc/sys/kernel/random/boot_id');
  // Longer than all moves. The packets that each side gets are counted at the end.
  const outward: Numbered = { stream: 1, first: 0, count: 4000, intervalUs: 2000 };
  const sent = sendNumbered(lab, 'web-1', 'ids-1', outward);
  let seenBefore = false;
  for (const node of ['node-3', 'node-1', 'node-2', 'node-1']) {
    const from = lab.vm('web-1').node;
    const started = Date.now();
    const times = await lab.migrate('web-1', node, {
      beforeSwitchOver: async () => {
        assert.match(await links(node), /tap-web-1: .*master br0 .*alias mirrorplane:/);
        assert.match(await links(from), /tap-web-1: /);
        seenBefore = true;
      },
    });
    assert.ok(times?.stopped && times.resumed, 'QEMU has told when it stopped and resumed');
    const order = [started, times.deviceAdded, times.stopped, times.resumed, times.deviceRemoved, Date.now()];
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
      'device, stop, resume, device gone',
    );
    assert.ok(times.resumed - times.stopped < 2000, `stood still for ${times.resumed - times.stopped} ms`);
    assert.equal(lab.vm('web-1').node, node);
    assert.ok(!(await links(from)).includes('tap-web-1'), 'the old device is gone');
    assert.match((await ping('db-1', 'web-1')).stdout, / 3 received/);
    assert.match((await ping('web-2', 'web-1')).stdout, / 3 received/);
    assert.match((await ping('web-1', 'db-1')).stdout, / 3 packets received/);
  }
  assert.ok(seenBefore);
  await sent;
  assert.equal(await inGuest('web-1', 'cat /tmp/kept/number'), '42');
  assert.equal(await inGuest('web-1', 'cat /proc/sys/kernel/random/boot_id'), before, 'the same boot');
  const heard = countedIn((await lab.exec('ids-1', ['probe', 'report'])).stdout);
  assert.equal(heard.lost, 0);
  const counts = heard.streams.get(1)?.slice(0, outward.count) ?? [];
  assert.deepEqual([counts.length, counts.filter((n) => n !== 1)], [outward.count, []], 'each number came once');
});

test('a guest that moves keeps what it has counted, and counts each number by itself', async () => {
  await lab.exec('ids-1', ['probe', 'reset']);
  const here = { stream: 5, intervalUs: 500 };
  await sendNumbered(lab, 'web-1', 'ids-1', { ...here, first: 10, count: 5 });
  await lab.migrate('ids-1', 'node-3');
  await sendNumbered(lab, 'web-1', 'ids-1', { ...here, first: 14, count: 3 });
  const wanted = [...Array(10).fill(0), 1, 1, 1, 1, 2, 1, 1];
  const now = async () => countedIn((await lab.exec('ids-1', ['probe', 'report'])).stdout).streams.get(5);
  await until('the last number', async () => (await now())?.length === wanted.length);
  assert.deepEqual(await now(), wanted);
  assert.equal(lab.vm('ids-1').node, 'node-3');
});

test('a move that QEMU refuses leaves the guest where it was, and nothing on the other node', async () => {
  const boom = () => {
    throw new Error('not now');
  };
  await assert.rejects(lab.migrate('web-1', 'node-2', { beforeSwitchOver: boom }), /not now/);
  assert.equal(lab.vm('web-1').node, 'node-1');
  assert.ok(!(await links('node-2')).includes('tap-web-1'));
  assert.match((await ping('db-1', 'web-1')).stdout, / 3 received/);
  await lab.migrate('web-1', 'node-2');
  assert.match((await ping('db-1', 'web-1')).stdout, / 3 received/);
});

test('the commands of the lab know QEMU machines', async () => {
  const command = async (...args: string[]) => {
    const { code, stdout, stderr } = await run([MIRRORPLANE, 'lab', ...args], { check: false });
    return { code, output: stdout + stderr };
  };
  const name = ['--name', lab.name];
  assert.match((await command('status', ...name)).output, /web-1\/0 .* a QEMU machine/);
  const exec = await command('exec', ...name, 'web-1', '--', 'sh', '-c', 'hostname; exit 7');
  assert.deepEqual(exec, { code: 7, output: '(none)\n' });
  const moved = await command('migrate', ...name, 'web-1', 'node-3');
  assert.equal(moved.code, 0, moved.output);
  assert.match(moved.output, /^web-1 runs on node-3: paused for \d+ ms, with two devices for \d+ ms/);
  assert.equal(lab.vm('web-1').node, 'node-3');
  assert.match(
    (await command('shell', ...name, 'web-1')).output,
    /web-1 is a QEMU machine without a shell: use 'lab exec'/,
  );
  assert.match((await command('up', '--name', labName('s'), '--qemu', 'nobody')).output, /there is no VM nobody/);
});

test('a VM that does not exist cannot be a QEMU machine', async () => {
  await assert.rejects(createLab({ name: labName('r'), bare: true, qemu: ['nobody'] }), /there is no VM nobody/);
});

test('down leaves no QEMU, no socket and no tap behind', async () => {
  const machines = lab.state.processes.filter((p) => p.name.startsWith('qemu-'));
  assert.equal(machines.length, 2);
  await lab.down();
  for (const machine of machines) {
    assert.ok(!isAlive(machine), `process ${machine.pid}`);
  }
  assert.ok(!existsSync(lab.runDir));
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  assert.deepEqual(
    namespaces.filter((ns) => ns.startsWith(`${lab.name}-`)),
    [],
  );
});

const ECHO = `
import socket, sys
s = socket.create_connection((sys.argv[1], 7), 20)
data = bytes(i % 251 for i in range(200000))
import threading
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
got = b''
while d := s.recv(65536): got += d
assert got == data
print(len(got), 'bytes came back')`;
