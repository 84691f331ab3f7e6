/** An operator's session: the command line against a running cluster. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Interface, Policy, PolicyStatus } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { activeEventually, allCopied, countedEventually, packets } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const lab = useLab();
const COMMAND = join(import.meta.dirname, '..', 'bin', 'mirrorplane');
const PINGS = 25;

/** Runs the command as an operator would. It only knows the controller from these variables. */
async function mirrorplane(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = {
    PATH: process.env.PATH,
    MIRRORPLANE_URL: `unix:${lab().apiSocket}`,
    MIRRORPLANE_TOKEN_FILE: lab().tokenFile,
  };
  const child = spawn(COMMAND, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const [code] = await once(child, 'close');
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** Runs it, asserts exit code 0, and returns its output. */
async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await mirrorplane(...args);
  assert.equal(code, 0, `mirrorplane ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

const statusOf = async (name: string): Promise<PolicyStatus> =>
  JSON.parse(await done('policy', 'status', name, '-o', 'json'));

test('lists what is in the cluster: nodes with their pools, interfaces with their devices, domains', async () => {
  const nodes = await done('node', 'list');
  for (const node of lab().topology.nodes) {
    assert.match(nodes, new RegExp(`${node.name}\\s+.*${node.pool}`));
  }
  const interfaces = await done('interface', 'list');
  for (const id of ['web-1/0', 'fw-1/0', 'edge-1']) {
    assert.ok(interfaces.includes(id), interfaces);
  }
  assert.match(await done('interface', 'show', 'web-1/0'), /tap-web-1/);
  assert.match(await done('domain', 'list'), /domain-1[\s\S]*domain-2/);
  assert.match(await done('pool', 'list'), /pool-b\s+.*domain-1/);
});

test('a policy from a YAML file becomes active and copies; its counters are exact; half of it, after an edit', async () => {
  const file = join(lab().runDir, 'policy.yaml');
  writeFileSync(file, 'name: from-file\nsources:\n  - web-1/0\ndestination: ids-1/0\n');
  assert.match(await done('policy', 'apply', '-f', file, '--dry-run'), /from-file/);
  assert.equal((await mirrorplane('policy', 'show', 'from-file')).code, 4, 'a dry run creates nothing');
  assert.match(await done('policy', 'apply', '-f', file), /from-file.*created/);
  assert.match(await done('policy', 'apply', '-f', file), /from-file.*unchanged/);

  await activeEventually(lab(), 'from-file');
  const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
    await ping(lab(), 'web-1', 'app-1', PINGS);
    await captures.destination.waitFor(2 * PINGS);
    await countedEventually(lab(), 'from-file', 2 * PINGS);
  });
  assert.equal(seen.destination.packets, 2 * PINGS);
  const status = await statusOf('from-file');
  assert.equal(status.state, 'active');
  assert.deepEqual(packets(status.totals), allCopied(2 * PINGS));
  assert.equal(status.delivered?.packets, 2 * PINGS);
  assert.match(await done('policy', 'list'), /from-file\s+.*virtual/);
  assert.match(await done('policy', 'status'), /from-file\s+.*active/);

  assert.match(await done('policy', 'edit', 'from-file', '--percent', '50', '--direction', 'outbound'), /changed/);
  const edited: Policy = JSON.parse(await done('policy', 'show', 'from-file', '-o', 'json'));
  assert.deepEqual([edited.percent, edited.direction, edited.uid], [50, 'outbound', status.uid]);
  await done('policy', 'disable', 'from-file');
  // Until the node has confirmed that it copies no more, the state is `ending`.
  await until('the end of the copies', async () => (await statusOf('from-file')).state === 'disabled');
  assert.equal((await mirrorplane('policy', 'status', 'from-file', '--exit-code')).code, 10);
  await done('policy', 'delete', 'from-file');
  assert.equal((await mirrorplane('policy', 'show', 'from-file')).code, 4);
});

test('the output of list for all kinds can be applied: nothing changes, and interfaces of agents stay undeclared', async () => {
  const declared = async () => {
    const { items } = JSON.parse(await done('interface', 'list', '-o', 'json')) as { items: Interface[] };
    return items.map((one) => [one.id, one.declared]);
  };
  const before = await declared();
  assert.ok(before.some(([, is]) => !is) && before.some(([, is]) => is));
  const lists: string[] = [];
  for (const noun of ['domain', 'pool', 'node', 'interface', 'policy']) {
    lists.push(await done(noun, 'list', '-o', 'yaml'));
  }
  const file = join(lab().runDir, 'everything.yaml');
  writeFileSync(file, lists.join('---\n'));
  assert.equal(await done('diff', '-f', file), '');
  for (const line of (await done('apply', '-f', file)).trim().split('\n')) {
    assert.match(line, / unchanged$/);
  }
  assert.deepEqual(await declared(), before);
});

test('a refused policy exits with 3 and prints every reason', async () => {
  const argv = ['policy', 'create', 'wrong', '--source', 'web-1/0', '--source', 'nobody/0', '--destination', 'edge-1'];
  const { code, stderr } = await mirrorplane(...argv, '--percent', '200');
  assert.equal(code, 3);
  for (const word of [
    'POLICY_SOURCE_NOT_FOUND',
    '(--source nobody/0)',
    'POLICY_VLAN_REQUIRED',
    'POLICY_PERCENT_INVALID',
  ]) {
    assert.ok(stderr.includes(word), `${word} in: ${stderr}`);
  }
});

test('exit codes: 2 for wrong usage, 4 for nothing there, 5 for there already, 6 without access, 7 without controller', async () => {
  assert.equal((await mirrorplane('policy', 'frobnicate')).code, 2);
  assert.equal((await mirrorplane('policy', 'delete', 'nobody')).code, 4);
  const create = ['policy', 'create', 'twice', '--source', 'db-1/0', '--destination', 'ids-1/0'];
  await done(...create);
  assert.equal((await mirrorplane(...create)).code, 5);
  await done('policy', 'delete', 'twice');
  writeFileSync(join(lab().runDir, 'wrong-token'), 'wrong', { mode: 0o600 });
  assert.equal((await mirrorplane('policy', 'list', '--token-file', join(lab().runDir, 'wrong-token'))).code, 6);
  assert.equal((await mirrorplane('policy', 'list', '--url', 'unix:/nonexistent/api.sock')).code, 7);
});
