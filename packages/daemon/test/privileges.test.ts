/** What daemons lay down, as the kernel tells it of them and of what they start. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CAPABILITIES, type Capability, hasTooMuch, maskOf, parsePrivileges } from '../src/capabilities.ts';

const root = process.getuid?.() === 0;
const SOURCE = join(import.meta.dirname, '../src/index.ts');
/** Starts, keeps what it is told, and tells what it has, and what all its threads and a child have. */
const CODE = `
  import { execFileSync } from 'node:child_process';
  import { readdirSync, readFileSync } from 'node:fs';
  import { keepOnly } from '${SOURCE}';
  await keepOnly(process.argv.slice(1));
  const child = execFileSync('cat', ['/proc/self/status'], { encoding: 'utf8' });
  const threads = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/status', 'utf8'));
  console.log(JSON.stringify({ pid: process.pid, child, threads, given: process.env.GIVEN, ends: process.argv.slice(1) }));
`;

interface Told {
  pid: number;
  given: string;
  ends: string[];
  child: string;
  threads: string[];
}

/** @param before a command that starts it with other rights */
async function told(keep: readonly Capability[], before: readonly string[] = []): Promise<Told & { started: number }> {
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', CODE, '--', ...keep];
  const [file, ...argv] = [...before, process.execPath, ...flags];
  const child = spawn(file!, argv, { env: { ...process.env, GIVEN: 'kept' }, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const part of child.stdout!) {
    text += part;
  }
  return { ...(JSON.parse(text) as Told), started: child.pid! };
}

/** Runs as a user who has these capabilities, and no other rights. */
const asUser = (uid: number, names: string) => [
  ...['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'],
  ...[`--inh-caps=-all${names}`, `--ambient-caps=-all${names}`, '--'],
];

describe('a daemon', { skip: root ? false : 'SKIPPED: needs root' }, () => {
  test('started by root keeps what it needs in every thread, as the same process with the same environment', async () => {
    const keep = ['CAP_BPF', 'CAP_NET_ADMIN'] as const;
    const { pid, started, threads, child, given, ends } = await told(keep);
    assert.deepEqual([pid, given, ends], [started, 'kept', [...keep]]);
    for (const status of [...threads, child]) {
      const { permitted, effective, bounding, noNewPrivileges } = parsePrivileges(status);
      assert.deepEqual([permitted, effective, bounding], [maskOf(keep), maskOf(keep), maskOf(keep)]);
      assert.ok(noNewPrivileges);
    }
    assert.ok(threads.length > 1, 'Node.js has threads');
  });

  test('that needs nothing has nothing left, and neither has a process that it starts', async () => {
    const { threads, child } = await told([]);
    for (const status of [...threads, child]) {
      const { permitted, inheritable, bounding, ambient, noNewPrivileges } = parsePrivileges(status);
      assert.deepEqual([permitted, inheritable, bounding, ambient, noNewPrivileges], [0n, 0n, 0n, 0n, true]);
    }
  });

  test('started as another user keeps what that user has, and hands on nothing to a process that it starts', async () => {
    const { threads, child } = await told(['CAP_NET_ADMIN', 'CAP_BPF'], asUser(64_999, ',+net_admin,+sys_nice'));
    const own = parsePrivileges(threads[0]!);
    assert.deepEqual([own.uid, own.permitted, own.ambient], [64_999, maskOf(['CAP_NET_ADMIN']), 0n]);
    const { permitted, effective, noNewPrivileges } = parsePrivileges(child);
    assert.deepEqual([permitted, effective, noNewPrivileges], [0n, 0n, true]);
  });

  test('that cannot bound its set any more does not get back what it has laid down', async () => {
    const { threads } = await told(['CAP_NET_ADMIN'], ['setpriv', '--bounding-set=-setpcap', '--']);
    const { permitted, noNewPrivileges } = parsePrivileges(threads[0]!);
    assert.deepEqual([permitted, noNewPrivileges], [maskOf(['CAP_NET_ADMIN']), true]);
  });
});

test('a process has too much where it has another capability, could get one, or could get new privileges', () => {
  const keep = maskOf(['CAP_BPF']);
  const none = { uid: 0, inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n };
  const locked = { ...none, noNewPrivileges: true };
  assert.equal(hasTooMuch(locked, keep), false);
  assert.equal(hasTooMuch({ ...locked, permitted: keep, bounding: keep }, keep), false);
  assert.equal(hasTooMuch({ ...locked, permitted: maskOf(['CAP_SYS_ADMIN']) }, keep), true);
  assert.equal(hasTooMuch({ ...none, noNewPrivileges: false }, keep), true);
  assert.equal(hasTooMuch({ ...locked, bounding: maskOf(['CAP_SYS_ADMIN']) }, keep), false, 'nothing can be done');
  assert.equal(
    Object.values(CAPABILITIES).every((bit) => bit < 64),
    true,
  );
});
