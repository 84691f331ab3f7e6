/**
 * Devices that cannot be mirrored, in the whole product: the messages for an operator, and the
 * copies.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';

import { useLab } from './support/lab.ts';
import { activeEventually, refusals, refusedPolicy, statusEventually, withPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const lab = useLab({ switch: false });
const COMMAND = join(import.meta.dirname, '..', 'bin', 'mirrorplane');
const PINGS = 10;

const ip = (...args: string[]) => lab().exec('node-1', ['ip', ...args]);
const alias = (device: string, text: string) => ip('link', 'set', device, 'alias', text);

const aliasOf = async (device: string) =>
  (JSON.parse((await ip('-j', 'link', 'show', device)).stdout) as { ifalias: string }[])[0]!.ifalias;

/** The bridge of node-1 that the VM web-1 is a port of. */
async function bridge(): Promise<string> {
  const { stdout } = await ip('-j', 'link', 'show', 'tap-web-1');
  return (JSON.parse(stdout) as { master: string }[])[0]!.master;
}

async function shown(...args: string[]): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    MIRRORPLANE_URL: `unix:${lab().apiSocket}`,
    MIRRORPLANE_TOKEN_FILE: lab().tokenFile,
  };
  const child = spawn(COMMAND, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  await once(child, 'close');
  return text;
}

test('an identity on a bridge is shown with the reason, and a policy that names it is refused with it', async () => {
  const name = await bridge();
  await alias(name, 'mirrorplane:kind=vm;id=all-vms');
  const why = `${name} is a bridge, which many guests share: use the tap or veth of the guest instead`;
  await until('the node shows it', async () => (await shown('node', 'show', 'node-1')).includes('all-vms'));
  const text = await shown('node', 'show', 'node-1');
  assert.ok(text.includes(`problem: DEVICE_UNSUPPORTED: all-vms: ${why}`), text);
  const problem = await refusedPolicy(lab(), { name: 'p', sources: ['all-vms'], destination: 'ids-1/0' });
  assert.deepEqual(refusals(problem), ['POLICY_SOURCE_UNSUPPORTED sources[0]']);
  assert.match(problem.detail, new RegExp(`${name} on node "node-1" is a bridge, which many guests share`));
  await alias(name, '');
});

test('a bridge that is declared as an edge is refused', async () => {
  const name = await bridge();
  const edge = { node: 'node-1', device: name };
  const { status, body } = await lab().api('PUT', '/api/v1/interfaces/vmbr', { kind: 'edge', edge });
  assert.deepEqual([status, body.code], [422, 'EDGE_UNSUPPORTED']);
  assert.match(body.detail, new RegExp(`^${name} on node "node-1" is a bridge: declare `));
});

test('the name of a device without identity is answered with what to do', async () => {
  const identity = await aliasOf('tap-web-1');
  await alias('tap-web-1', '');
  try {
    const problem = await until('an answer', async () => {
      const refused = await refusedPolicy(lab(), { name: 'p', sources: ['tap-web-1'], destination: 'ids-1/0' });
      return refused.detail.includes('without identity') ? refused : undefined;
    });
    assert.match(problem.detail, /"tap-web-1" is a device of node "node-1" without identity: give it an alias/);
  } finally {
    await alias('tap-web-1', identity);
  }
});

test('a policy fails with the reason while its source is on a bridge, copies nothing, and is active afterwards', async () => {
  const name = await bridge();
  const identity = await aliasOf('tap-web-1');
  const policy = { name: 'moved', sources: ['web-1/0'], destination: 'ids-1/0' };
  await withPolicy(lab(), policy, async () => {
    const copies = { host: 'ids-1', filter: 'icmp' };
    const before = await watch(lab(), { copies }, async (captures) => {
      await ping(lab(), 'web-1', 'db-1', PINGS);
      await until('all copies', async () => (await captures.copies.count()) >= 2 * PINGS);
    });
    assert.equal(before.copies.packets, 2 * PINGS);
    await alias('tap-web-1', '');
    await alias(name, identity);
    // Between the two aliases it has no device at all.
    const status = await statusEventually(
      lab(),
      'moved',
      'failed for want of a device that can be mirrored',
      ({ state, reasons }) => state === 'failed' && reasons.every(({ code }) => code !== 'SOURCE_ABSENT'),
    );
    assert.deepEqual(
      status.reasons.map(({ code, node }) => [code, node]),
      [['DEVICE_UNSUPPORTED', 'node-1']],
    );
    const seen = await watch(lab(), { copies }, () => ping(lab(), 'web-1', 'db-1', PINGS));
    assert.equal(seen.copies.packets, 0, 'copies while the source is a bridge');
    await alias(name, '');
    await alias('tap-web-1', identity);
    await activeEventually(lab(), 'moved');
  });
});
