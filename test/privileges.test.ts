/** What agents and controllers may do while they work, as the kernel tells it in /proc. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AGENT_CAPABILITIES } from '@mirrorplane/agent';
import { until } from '@mirrorplane/base';
import { type Capability, maskOf, parsePrivileges } from '@mirrorplane/daemon';
import { haveUsers, MIRRORPLANE } from '@mirrorplane/lab/testing';
import { useLab } from './support/lab.ts';
import { countedEventually, withPolicy } from './support/policy.ts';
import { ping } from './support/traffic.ts';

const AT_MOST = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_NET_RAW', 'CAP_SYS_NICE'] as const;
const lab = useLab({ nodes: 2 });

const statusOf = (pid: number, thread = pid) => readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');

/** Every thread has these capabilities in force and at most, and can get no others. */
function assertHas(pid: number, capabilities: readonly Capability[]): void {
  const mask = maskOf(capabilities);
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const { permitted, effective, bounding, noNewPrivileges } = parsePrivileges(statusOf(pid, Number(thread)));
    assert.deepEqual([permitted, effective, bounding, noNewPrivileges], [mask, mask, mask, true]);
  }
  const { inheritable, ambient } = parsePrivileges(statusOf(pid));
  assert.deepEqual([inheritable, ambient], [0n, 0n], 'a command that it starts gets none');
}

test('agents copy between nodes with five capabilities, and the controller plans with none, none of them as root', async () => {
  await withPolicy(lab(), { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    await ping(lab(), 'web-1', 'db-1', 20);
    await countedEventually(lab(), 'p', 40);
    const daemons = lab().state.processes;
    const agents = daemons.filter(({ name }) => name.startsWith('agent-'));
    assert.equal(agents.length, 2);
    assert.deepEqual([...AGENT_CAPABILITIES].sort(), [...AT_MOST].sort());
    for (const { pid } of agents) {
      assertHas(pid, AT_MOST);
    }
    const controller = daemons.find(({ name }) => name === 'controller')!;
    assertHas(controller.pid, haveUsers() ? [] : ['CAP_SETUID', 'CAP_SETGID']);
    const users = [...agents, controller].map(({ pid }) => parsePrivileges(statusOf(pid)).uid);
    assert.deepEqual(
      users.map((uid) => uid !== 0),
      users.map(() => haveUsers()),
    );
  });
});

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-privileges-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a part as root with everything. Waits until it has laid down what it does not need. */
async function startAsRoot(t: TestContext, argv: string[], env: Record<string, string> = {}): Promise<number> {
  const child = lab().spawn('node-1', [MIRRORPLANE, ...argv], { stdio: 'ignore', env: { ...process.env, ...env } });
  t.after(() => child.kill('SIGKILL'));
  const privileges = () => parsePrivileges(statusOf(child.pid!));
  await until(
    'a process that gets no new privileges',
    () => privileges().noNewPrivileges && privileges().ambient === 0n,
    { limitMs: 30_000 },
  );
  return child.pid!;
}

test('an agent that root starts lays the rest down by itself', async (t) => {
  const data = temporaryFolder(t);
  const token = join(data, 'token');
  writeFileSync(token, 'a token of nobody', { mode: 0o600 });
  const argv = ['agent', '--node', 'node-1', '--controller', '127.0.0.1:9', '--token-file', token];
  const folders = ['--data', join(data, 'agent'), '--bpffs', `/sys/fs/bpf/mirrorplane-privileges-${process.pid}`];
  assertHas(await startAsRoot(t, [...argv, ...folders]), AT_MOST);
});

test('a controller that root starts keeps what starts decoders as nobody', async (t) => {
  const data = temporaryFolder(t);
  const listen = ['--listen', `unix:${join(data, 'api.sock')}`, '--agent-listen', '127.0.0.1:0'];
  const pid = await startAsRoot(t, ['controller', '--data', join(data, 'controller'), ...listen]);
  assertHas(pid, ['CAP_SETUID', 'CAP_SETGID']);
});
