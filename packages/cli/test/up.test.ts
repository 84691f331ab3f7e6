/** `mirrorplane up`: controller and agent of one host, with packets. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '@mirrorplane/base';
import type { Interface, Node, PolicyStatus } from '@mirrorplane/contract';
import { type Result, run } from './run.ts';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));
/** Limit of a wait, and milliseconds between two looks at first: each one starts a command. */
const LIMIT = { limitMs: 60_000, pauseMs: 100 };

/**
 * Two VM interfaces and `mirrorplane up` in separate namespaces, so that devices, programs and pins
 * are removed with them.
 */
const HOST = `
set -e
mkdir "$1/bpf"
mount -t bpf bpf "$1/bpf"
ip link set lo up
for id in web-1 ids-1; do
  ip link add "$id" type veth peer name "$id-peer"
  ip link set "$id" alias "mirrorplane:kind=vm;id=$id/0"
  ip link set "$id" up
  ip link set "$id-peer" up
done
exec "$2" up --data "$1/data" --listen "unix:$1/api.sock" --node host-1 --bpffs "$1/bpf/mirrorplane" --log-level warn
`;

const root = process.getuid?.() === 0;

describe('mirrorplane up', { skip: root ? false : 'needs root' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-cli-up-'));
  const env = {
    MIRRORPLANE_URL: `unix:${folder}/api.sock`,
    MIRRORPLANE_TOKEN_FILE: join(folder, 'data', 'admin-token'),
  };
  let child: ChildProcess;
  let stdout = '';
  let stderr = '';

  const start = async () => {
    stdout = '';
    child = spawn('unshare', ['--net', '--mount', 'sh', '-c', HOST, 'sh', folder, COMMAND], { stdio: 'pipe' });
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    await until(
      'the lines on how to use it',
      async () => {
        assert.equal(child.exitCode, null, stderr);
        return stdout.includes('mirrorplane is up');
      },
      LIMIT,
    );
  };
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(timer);
  };
  before(start);
  after(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('prints the lines to use it with, and says that there is no way to other nodes', () => {
    assert.match(
      stdout,
      new RegExp(`export MIRRORPLANE_URL=unix:${folder}/api.sock MIRRORPLANE_TOKEN_FILE=${folder}/data/admin-token`),
    );
    assert.match(stderr, /this host has no default route, and lo is no mirror device/);
  });

  it('has made domain and pool, and enrolled its node', async () => {
    const [node] = (await json<{ items: Node[] }>('node', 'list')).items;
    assert.deepEqual([node?.name, node?.pool, node?.connected], ['host-1', 'default', true]);
  });

  it('mirrors from one interface to another of this host', async () => {
    await until(
      'both interfaces',
      async () => {
        const { items } = await json<{ items: Interface[] }>('interface', 'list');
        return items.filter(({ devices }) => devices.length === 1).length === 2;
      },
      LIMIT,
    );
    const { code, stderr: said } = await run(
      ['policy', 'create', 'p', '--source', 'web-1/0', '--destination', 'ids-1/0'],
      { env },
    );
    assert.equal(code, 0, said);
    await until(
      'an active policy',
      async () => (await json<PolicyStatus>('policy', 'status', 'p')).state === 'active',
      LIMIT,
    );
    assert.equal((await run(['policy', 'status', 'p', '--exit-code'], { env })).code, 0);
  });

  it('ends with 0 on SIGTERM, and a second start finds node and policy again', async () => {
    await stop();
    assert.equal(child.exitCode, 0, stderr);
    rmSync(join(folder, 'bpf'), { recursive: true, force: true });
    await start();
    await until(
      'an active policy',
      async () => (await json<PolicyStatus>('policy', 'status', 'p')).state === 'active',
      LIMIT,
    );
  });

  it('refuses lo as mirror device, and ends with 2', async () => {
    const { code, stderr: said }: Result = await run(['up', '--mirror-device', 'lo', '--data', `${folder}/other`]);
    assert.equal(code, 2);
    assert.match(said, /the loopback device reaches no other node/);
  });

  async function json<T>(...args: string[]): Promise<T> {
    const { code, stdout: text, stderr: said } = await run([...args, '-o', 'json'], { env });
    assert.equal(code, 0, said);
    return JSON.parse(text) as T;
  }
});
