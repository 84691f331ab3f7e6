/**
 * The identity provider `containers` with bundles as containerd and CRI-O write them, and real
 * network namespaces.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Device, NodeProblem } from '@mirrorplane/contract';
import { getJson } from '../src/discovery/unix-http.ts';
import { Namespace, Probe } from './namespace.ts';
import { isRoot, temporaryFolder } from './support.ts';

interface Lines {
  at: number;
  devices: Device[];
  problems: NodeProblem[];
}

const skip = !isRoot && 'needs root';
const LIMIT = 30_000;

const config = (pod: string, path: string) =>
  JSON.stringify({
    annotations: {
      'io.kubernetes.cri.container-type': 'sandbox',
      'io.kubernetes.cri.sandbox-name': pod,
      'io.kubernetes.cri.sandbox-namespace': 'shop',
    },
    linux: { namespaces: [{ type: 'network', path }] },
  });

/** A node whose folder of bundles is watched. */
async function watched(t: TestContext, ...options: string[]) {
  let probe: Probe<Lines> | undefined;
  // It writes into the folder, and so ends first.
  t.after(() => probe?.stop());
  const folder = temporaryFolder(t);
  const bundles = join(folder, 'k8s.io');
  mkdirSync(bundles);
  const host = new Namespace(t);
  const watching = new Probe<Lines>(
    t,
    host,
    'identities',
    join(folder, 'ids.json'),
    `containers=${bundles}`,
    ...options,
  );
  probe = watching;
  await watching.see('the first list', 'devices', undefined, LIMIT);
  const see = (what: string, check: (ids: Record<string, string>) => boolean) =>
    watching.see(what, 'devices', (devices) => check(byDevice(devices)), LIMIT);
  /** Runs a pod as the runtime does: a network namespace, a veth into it, then the bundle. */
  const start = (pod: string, ...devices: [near: string, far: string][]) => {
    const inside = new Namespace(t);
    for (const [near, far] of devices) {
      host.ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', inside.name);
    }
    mkdirSync(join(bundles, pod));
    writeFileSync(join(bundles, pod, 'config.json'), config(pod, `/run/netns/${inside.name}`));
    return inside;
  };
  return { host, probe: watching, see, start, bundles };
}

/** Id by name of device. */
function byDevice(devices: readonly Device[]): Record<string, string> {
  return Object.fromEntries(devices.flatMap(({ name, identity }) => (identity ? [[name, identity.id]] : [])));
}

test('each interface of a pod is known at the device that leads to it, and a veth that leads elsewhere is not', {
  skip,
}, async (t) => {
  const { host, see, start } = await watched(t);
  host.ip('link', 'add', 'plain0', 'type', 'veth', 'peer', 'name', 'plain1');
  const other = new Namespace(t);
  host.ip('link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other.name);
  start('web-0', ['vethweb', 'eth0'], ['vethnet1', 'net1']);
  start('db-0', ['vethdb', 'eth0']);
  const devices = await see('all three', (all) => Object.keys(all).length === 3);
  assert.deepEqual(byDevice(devices), {
    vethweb: 'pod/shop/web-0/eth0',
    vethnet1: 'pod/shop/web-0/net1',
    vethdb: 'pod/shop/db-0/eth0',
  });
  assert.deepEqual(devices.find(({ name }) => name === 'vethweb')?.identity, {
    kind: 'vm',
    id: 'pod/shop/web-0/eth0',
    name: 'shop/web-0 eth0',
    provider: 'containers',
  });
});

test('pods have the scope in their ids', { skip }, async (t) => {
  const { see, start } = await watched(t, 'identityScope=prod');
  start('web-0', ['vethweb', 'eth0']);
  await see('the pod', (all) => all.vethweb === 'pod/prod/shop/web-0/eth0');
});

test('a pod that is made again under its name keeps its id at its new device', { skip }, async (t) => {
  const { host, see, start, bundles } = await watched(t);
  start('web-0', ['vethold', 'eth0']);
  await see('the old one', (all) => all.vethold === 'pod/shop/web-0/eth0');
  host.ip('link', 'del', 'vethold');
  rmSync(join(bundles, 'web-0'), { recursive: true });
  start('web-0', ['vethnew', 'eth0']);
  await see('the new one', (all) => all.vethnew === 'pod/shop/web-0/eth0' && !('vethold' in all));
});

test('an interface that the pod itself renames keeps its id', { skip }, async (t) => {
  const { see, start } = await watched(t);
  const inside = start('web-0', ['vethweb', 'eth0']);
  await see('the pod', (all) => all.vethweb === 'pod/shop/web-0/eth0');
  inside.ip('link', 'set', 'eth0', 'name', 'hidden0');
  start('db-0', ['vethdb', 'eth0']);
  const devices = await see('what was read since', (all) => 'vethdb' in all);
  assert.equal(byDevice(devices).vethweb, 'pod/shop/web-0/eth0');
});

test('a bundle that cannot be read, and a path that is no network namespace, are problems of their own', {
  skip,
}, async (t) => {
  const { probe, see, start, bundles } = await watched(t);
  for (const [name, text] of [
    ['torn', '{'],
    ['large', ' '.repeat(5 << 20)],
    ['file', config('file-0', '/etc/passwd')],
    ['gone', config('gone-0', '/run/netns/there-is-none')],
  ] as const) {
    mkdirSync(join(bundles, name));
    writeFileSync(join(bundles, name, 'config.json'), text);
  }
  mkdirSync(join(bundles, 'empty'));
  mkdirSync(join(bundles, 'folder/config.json'), { recursive: true });
  mkdirSync(join(bundles, 'loop'));
  symlinkSync('config.json', join(bundles, 'loop/config.json'));
  start('web-0', ['vethweb', 'eth0']);
  await see('the pod', (all) => all.vethweb === 'pod/shop/web-0/eth0');
  const problems = await probe.see('the problems', 'problems', (all) => all.length === 5, LIMIT);
  assert.deepEqual([...new Set(problems.map(({ code }) => code))], ['IDENTITY_UNREADABLE']);
  const text = problems.map(({ message }) => message).join('\n');
  for (const part of [
    /k8s.io\/torn: /,
    /large\/config.json is larger than 4194304 bytes/,
    /shop\/file-0: \/etc\/passwd/,
    /folder\/config.json is not a file/,
    /loop\/config.json is not a file/,
  ]) {
    assert.match(text, part);
  }
});

test('a container that its runtime lists and cannot describe now keeps its identity, and is a problem', {
  skip,
}, async (t) => {
  const { probe, see, start, bundles } = await watched(t);
  start('web-0', ['vethweb', 'eth0']);
  await see('the pod', (all) => all.vethweb === 'pod/shop/web-0/eth0');
  writeFileSync(join(bundles, 'web-0', 'config.json'), '{');
  start('db-0', ['vethdb', 'eth0']);
  const devices = await see('what was read since', (all) => 'vethdb' in all);
  assert.equal(byDevice(devices).vethweb, 'pod/shop/web-0/eth0');
  await probe.see('the problem', 'problems', (all) => all.some(({ message }) => message.includes('web-0')), LIMIT);
});

test('an answer that is too large, too late or an error is refused', async (t) => {
  const socket = join(temporaryFolder(t), 'api.sock');
  const server = createServer((request, answer) => {
    if (request.url === '/large') {
      answer.end(JSON.stringify('x'.repeat(5000)));
    } else if (request.url === '/late') {
      answer.write('"');
    } else if (request.url === '/torn') {
      answer.end('{');
    } else if (request.url === '/other') {
      answer.writeHead(101, { connection: 'upgrade', upgrade: 'x' }).end();
    } else {
      answer.writeHead(request.url === '/good' ? 200 : 500).end('"well"');
    }
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  assert.equal(await getJson(socket, '/good', { limit: 1000 }), 'well');
  await assert.rejects(getJson(socket, '/large', { limit: 1000 }), /the answer to \/large is larger than 1000 bytes/);
  await assert.rejects(getJson(socket, '/late', { timeout: 50 }), /no answer to \/late in 50 ms/);
  await assert.rejects(getJson(socket, '/torn'), SyntaxError);
  await assert.rejects(getJson(socket, '/other'), /the connection for \/other has ended without an answer/);
  await assert.rejects(getJson(socket, '/bad'), /the answer to \/bad is 500/);
});
