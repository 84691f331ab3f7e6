/** A lab leaves nothing behind after any end. Commands of the lab. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLab, DEFAULT_RUN_ROOT, type Lab, type LabState, openLab } from '@mirrorplane/lab';
import { labName } from './helpers.ts';

const MIRRORPLANE = resolve(import.meta.dirname, '../../../bin/mirrorplane');
const names: string[] = [];
const newName = (letter: string) => {
  const name = labName(letter);
  names.push(name);
  return name;
};

after(async () => {
  for (const name of names) {
    await command('down', '--name', name);
  }
});

async function command(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(MIRRORPLANE, ['lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = collect(child);
  const [code] = (await once(child, 'close')) as [number];
  return { code, output: output() };
}

function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  }
  return () => text;
}

const namespacesOf = (name: string) =>
  (existsSync('/run/netns') ? readdirSync('/run/netns') : []).filter((ns) => ns.startsWith(`${name}-`));
const rootLinks = () => readdirSync('/sys/class/net').sort();
const runs = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

/**
 * Processes with the lab's folder in their arguments or as their folder: all of them belong to the
 * lab.
 */
const processesOf = (name: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(join(DEFAULT_RUN_ROOT, name, '/'))
      );
    } catch {
      return false;
    }
  });

function assertNothingLeft(name: string): void {
  assert.deepEqual(namespacesOf(name), []);
  assert.deepEqual(processesOf(name), []);
  assert.ok(!existsSync(join(DEFAULT_RUN_ROOT, name)));
}

test('down leaves nothing: no namespace, no process, no folder, and a root namespace as it was', async () => {
  const links = rootLinks();
  const lab = await createLab({ name: newName('b'), bare: true });
  assert.deepEqual(rootLinks(), links, 'a lab adds no link to the root namespace');
  const pids = lab.state.processes.map((p) => p.pid);
  assert.equal(pids.length, 2);
  const forgotten = lab.spawn('web-1', ['sleep', '600'], { stdio: 'ignore' });
  const end = once(forgotten, 'exit');
  await lab.down();
  await end;
  for (const pid of pids) {
    assert.ok(!runs(pid), `process ${pid}`);
  }
  assertNothingLeft(lab.name);
  assert.deepEqual(rootLinks(), links);
  await lab.down();
});

test('two labs at once do not hear each other', async () => {
  const small = { bare: true, nodes: 2, switch: false };
  const labs = (await Promise.all([
    createLab({ ...small, name: newName('c') }),
    createLab({ ...small, name: newName('d'), underlayMtu: 1500 }),
  ])) as [Lab, Lab];
  const [one, two] = labs;
  assert.deepEqual(
    one.topology.nodes.map((n) => n.name),
    ['node-1', 'node-2'],
  );
  const silent = await two.capture('db-1', 'eth0');
  await one.exec('web-1', ['ping', '-c2', '-i0.02', one.address('db-1')]);
  assert.deepEqual((await silent.stop()).lines, []);
  await one.down();
  await two.exec('web-1', ['ping', '-c2', '-i0.02', two.address('db-1')]);
  await two.down();
  assertNothingLeft(one.name);
  assertNothingLeft(two.name);
});

test('an `up` that is stopped half-way removes what it made', async () => {
  const name = newName('e');
  const child = spawn(MIRRORPLANE, ['lab', 'up', '--bare', '--name', name], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = collect(child);
  const closed = once(child, 'close');
  await until('first namespaces', () => namespacesOf(name).length > 3);
  child.kill('SIGINT');
  const [code] = (await closed) as [number];
  assert.equal(code, 1, output());
  assert.match(output(), /stopped; everything is removed/);
  assertNothingLeft(name);
});

test('`down` removes what an `up` that was killed half-way left behind, and a second `down` is fine', async () => {
  const name = newName('f');
  const child = spawn(MIRRORPLANE, ['lab', 'up', '--bare', '--name', name], { stdio: 'ignore' });
  const closed = once(child, 'close');
  await until('the switch', () => stateOf(name)?.processes.some((p) => p.name === 'ovsdb-server') ?? false);
  child.kill('SIGKILL');
  await closed;
  assert.equal(stateOf(name)?.phase, 'building');
  assert.ok(namespacesOf(name).length > 10);
  assert.deepEqual(await command('down', '--name', name), { code: 0, output: `lab ${name} removed\n` });
  assertNothingLeft(name);
  assert.deepEqual(await command('down', '--name', name), { code: 0, output: `lab ${name} is not there\n` });
});

function stateOf(name: string): LabState | null {
  try {
    return openLab(name).state;
  } catch {
    return null;
  }
}

test('the commands: up, status, list, exec with its exit status, migrate, down', async () => {
  const name = newName('g');
  const up = await command('up', '--bare', '--name', name, '--nodes', '2', '--no-switch', '--vms-per-node', '1');
  assert.equal(up.code, 0, up.output);
  assert.match(up.output, new RegExp(`mirrorplane lab exec --name ${name} web-1 -- ping -c1 10.0.0.2`));
  assert.match((await command('status', '--name', name)).output, /vm-2-1\/0 +vm +node-2 +tap-vm-2-1 /);
  assert.match((await command('list')).output, new RegExp(`^${name}\\tready\\t2 nodes`, 'm'));
  const ping = await command('exec', '--name', name, 'web-1', '--', 'ping', '-c1', '10.0.0.2');
  assert.equal(ping.code, 0, ping.output);
  assert.equal((await command('exec', '--name', name, 'web-1', 'sh', '-c', 'exit 7')).code, 7);
  assert.equal((await command('migrate', '--name', name, 'web-1', 'node-2')).code, 0);
  assert.match((await command('status', '--name', name)).output, /web-1\/0 +vm +node-2 /);
  const wrong = await command('exec', '--name', name, 'nobody', '--', 'true');
  assert.equal(wrong.code, 1);
  assert.match(wrong.output, /^mirrorplane lab: lab \w+ has no host nobody; it has fabric, ctl, node-1/);
  assert.equal((await command('down', '--name', name)).code, 0);
  assertNothingLeft(name);
});

test('many NICs without address share one host per node and carry identities', async () => {
  const lab = await createLab({
    name: newName('h'),
    bare: true,
    nodes: 1,
    namedVms: false,
    devicesPerNode: 64,
    switch: false,
  });
  const { stdout } = await lab.exec('node-1', ['ip', '-o', 'link']);
  assert.equal(stdout.match(/alias mirrorplane:kind=vm;id=d-1-\d+\/0;/g)?.length, 64);
  await lab.exec('d-1-64', ['ip', 'link', 'show', lab.vm('d-1-64').guestDevice]);
  await lab.down();
  assertNothingLeft(lab.name);
});
