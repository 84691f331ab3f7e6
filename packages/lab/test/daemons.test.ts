/** Controller and agents of a lab. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLab, type Lab } from '@mirrorplane/lab';
import { labName } from './helpers.ts';

const parts = ['controller', 'agent'].map((part) => resolve(import.meta.dirname, `../../${part}/src/main.ts`));
const missing = parts.filter((file) => !existsSync(file));
const skip = missing.length > 0 && `not there: ${missing.join(', ')}`;

let lab: Lab;
before(async () => {
  if (!skip) {
    lab = await createLab({ name: labName('k'), nodes: 2 });
  }
});
after(() => lab?.down());

const node = async (name: string) => (await lab.api('GET', `/api/v1/nodes/${name}`)).body;
const daemon = (name: string) => lab.state.processes.find((p) => p.name === name)?.pid;

test('up starts controller and agents, and every interface of the lab is known with its device', { skip }, async () => {
  for (const name of ['node-1', 'node-2']) {
    assert.equal((await node(name)).connected, true);
  }
  for (const vm of lab.topology.vms) {
    const { status, body } = await lab.api('GET', `/api/v1/interfaces/${encodeURIComponent(vm.id)}`);
    assert.equal(status, 200, vm.id);
    assert.deepEqual(
      body.devices.map((d: { node: string; name: string }) => [d.node, d.name]),
      [[vm.node, vm.device]],
    );
  }
  const edge = (await lab.api('GET', '/api/v1/interfaces/edge-1')).body;
  assert.equal(edge.devices[0]?.name, 'edge0');
});

test('the forwarder leads from the root namespace to the API', { skip }, async () => {
  assert.equal((await fetch(`http://127.0.0.1:${lab.state.apiPort}/readyz`)).status, 200);
});

test('the operators’ token is readable by its owner only', { skip }, () => {
  assert.equal(statSync(lab.tokenFile).mode & 0o777, 0o600);
});

test('an agent that is killed is noticed, and joins again without a token', { skip }, async () => {
  const pid = daemon('agent-node-1');
  await lab.stopAgent('node-1', 'SIGKILL');
  assert.equal((await node('node-1')).connected, false);
  await lab.startAgent('node-1');
  assert.equal((await node('node-1')).connected, true);
  assert.notEqual(daemon('agent-node-1'), pid);
});

test('a controller that is killed comes back with what it knew, and the agents return', { skip }, async () => {
  await lab.stopController('SIGKILL');
  await assert.rejects(lab.api('GET', '/readyz'));
  await lab.startController();
  await until(
    'agents to return',
    async () => {
      return (await node('node-1')).connected && (await node('node-2')).connected;
    },
    { limitMs: 30_000 },
  );
});

test('a migrated VM is reported on its new node', { skip }, async () => {
  await lab.migrate('web-1', 'node-2');
  await until(
    'the new device',
    async () => {
      const { body } = await lab.api('GET', `/api/v1/interfaces/${encodeURIComponent('web-1/0')}`);
      return body.devices.length === 1 && body.devices[0].node === 'node-2';
    },
    { limitMs: 15_000 },
  );
});

test('down leaves no process and no bpffs folder', { skip }, async () => {
  const { processes, bpffs } = lab.state;
  assert.deepEqual(processes.map((p) => p.name).sort(), [
    'agent-node-1',
    'agent-node-2',
    'controller',
    'forwarder',
    'ovs-vswitchd',
    'ovsdb-server',
  ]);
  await lab.down();
  for (const folder of bpffs) {
    assert.ok(!existsSync(folder), folder);
  }
  for (const { pid, name } of processes) {
    const ended = () => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    assert.ok(ended(), name);
  }
});
