/**
 * The packages on a Debian that has nothing but itself: install, start, copy, upgrade, downgrade,
 * purge.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { maskOf, parsePrivileges } from '@mirrorplane/daemon';
import { run } from '@mirrorplane/lab/testing';
import { FreshHost, filesOf, type Guest } from './support/fresh-host.ts';

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const NUMBERS = join(import.meta.dirname, 'support/numbers.py');
const [OLD, NEW] = ['0.1.0', '0.2.0~test'];
/** Milliseconds of CPU time that a command may take. */
const QUICK = 150;

const builds = mkdtempSync(join(tmpdir(), 'mirrorplane-builds-'));
let host: FreshHost;
let web: Guest;
let ids: Guest;
let untouched: Awaited<ReturnType<typeof picture>>;

/**
 * Builds the packages of a version, and puts them on the host. Returns their names there, by
 * package.
 */
async function build(version: string): Promise<Record<string, string>> {
  const output = join(builds, version);
  const argv = ['--architecture', ARCHITECTURE, '--version', version, '--output', output, '--quick'];
  const main = join(import.meta.dirname, '../../packaging/main.ts');
  await run([process.execPath, main, ...argv], { timeoutMs: 900_000 });
  return Object.fromEntries(
    debsIn(output).map((file) => {
      copyFileSync(join(output, file), join(host.root, 'root', file));
      return [file.replace(/_.*/, ''), `/root/${file}`];
    }),
  );
}

const debsIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.deb'));

const mirrorplane = async (...argv: string[]) => (await host.run(['mirrorplane', ...argv])).stdout;
const json = async (...argv: string[]) => JSON.parse(await mirrorplane(...argv, '-o', 'json'));
const isActive = async (unit: string) =>
  (await host.run(['systemctl', 'is-active', unit], { check: false })).stdout.trim();
const show = async (unit: string, property: string) =>
  (await host.run(['systemctl', 'show', unit, '--value', '-p', property])).stdout.trim();

/** Leftovers that a package could have: files, users, links, pins, programs at devices. */
async function picture() {
  const { stdout: links } = await host.inNetwork(['ip', '-j', '-d', 'link', 'show']);
  const { stdout: pins } = await host.run(['find', '/sys/fs/bpf', '-mindepth', '1'], { check: false });
  const { stdout: units } = await host.run(['systemctl', 'list-unit-files', '--no-legend', 'mirrorplane*'], {
    check: false,
  });
  const { stdout: queues } = await host.inNetwork(['tc', 'qdisc', 'show']);
  return {
    files: filesOf(host.root),
    users: readFileSync(join(host.root, 'etc/passwd'), 'utf8') + readFileSync(join(host.root, 'etc/group'), 'utf8'),
    links: JSON.parse(links).map(({ ifname, mtu, link_netnsid: _, ...rest }: Record<string, unknown>) => [
      ifname,
      mtu,
      rest.ifalias,
    ]),
    pins: pins.split('\n').filter((pin) => pin.includes('mirrorplane')),
    units,
    queues,
  };
}

before(async () => {
  host = await FreshHost.boot();
  await host.inNetwork(['ip', 'link', 'add', 'br0', 'type', 'bridge']);
  await host.inNetwork(['ip', 'link', 'set', 'br0', 'up']);
  web = await host.addGuest('web', 'br0', '10.9.0.1/24');
  await host.addGuest('db', 'br0', '10.9.0.2/24');
  ids = await host.addGuest('ids', 'br0');
  untouched = await picture();
});

after(async () => {
  await host?.close();
  rmSync(builds, { recursive: true, force: true });
});

test('the packages install on a host without npm, compiler and Internet, and the controller runs', async () => {
  const packages = await build(OLD);
  assert.deepEqual(Object.keys(packages).sort(), [
    'mirrorplane',
    'mirrorplane-agent',
    'mirrorplane-controller',
    'mirrorplane-runtime',
  ]);
  const { stderr } = await host.run(['dpkg', '-i', ...Object.values(packages)]);
  assert.match(stderr, /say in \/etc\/mirrorplane\/agent.yaml which node this is/);
  assert.equal(await isActive('mirrorplane-controller'), 'active');
  assert.equal(await isActive('mirrorplane-decoder.socket'), 'active', 'it starts and ends with the controller');
  assert.equal(await isActive('mirrorplane-agent'), 'inactive', 'it does not know which node it is');
  const { stdout: owner } = await host.run([
    'stat',
    '-c',
    '%U %a',
    '/var/lib/mirrorplane',
    '/var/lib/mirrorplane/store.db',
  ]);
  assert.deepEqual(owner.trim().split('\n'), ['mirrorplane 700', 'mirrorplane 600']);
  const get = (path: string) =>
    `fetch('http://127.0.0.1:7070${path}').then((answer) => answer.text()).then(console.log)`;
  const page = await host.inNetwork([process.execPath, '-e', get('/')]);
  const [, script] = /src="(\/assets\/index-[^"]+\.js)"/.exec(page.stdout) ?? [];
  assert.ok(script, `the console is served: ${page.stdout}`);
  assert.ok((await host.inNetwork([process.execPath, '-e', get(script)])).stdout.length > 10_000);
});

test('an agent with a node name starts, reports its start to systemd, and logs to the journal', async () => {
  await mirrorplane('domain', 'create', 'dc-1');
  await mirrorplane('pool', 'create', 'pool-a', '--domain', 'dc-1');
  await mirrorplane('node', 'create', 'node-1', '--pool', 'pool-a');
  const token = (await mirrorplane('node', 'token', 'node-1')).split('\n')[0]!;
  writeFileSync(join(host.root, 'root/token'), token, { mode: 0o600 });
  await host.run(['install', '-m', '640', '-g', 'mirrorplane-agent', '/root/token', '/etc/mirrorplane/token']);
  const settings = join(host.root, 'etc/mirrorplane/agent.yaml');
  const given = 'node: node-1\ncontroller: 127.0.0.1:7071\ntokenFile: /etc/mirrorplane/token\n';
  writeFileSync(settings, readFileSync(settings, 'utf8') + given);
  const { checks } = JSON.parse((await host.run(['mirrorplane', 'agent', '--check', '-o', 'json'])).stdout);
  assert.deepEqual(
    checks.filter(({ state }: { state: string }) => state === 'failed'),
    [],
  );
  await host.run(['systemctl', 'start', 'mirrorplane-agent']);
  assert.equal(await isActive('mirrorplane-agent'), 'active');
  assert.equal(await show('mirrorplane-agent', 'WatchdogUSec'), '1min');
  const { stdout } = await host.run(['journalctl', '-u', 'mirrorplane-agent', '-o', 'json']);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const started = lines.find(({ MESSAGE }) => String(MESSAGE).startsWith('agent started [node:node-1'));
  assert.equal(started?.PRIORITY, '6');
  assert.deepEqual(
    lines.filter(({ PRIORITY, SYSLOG_IDENTIFIER }) => SYSLOG_IDENTIFIER === 'mirrorplane-agent' && PRIORITY < '6'),
    [],
    'nothing that it needs is hidden from it',
  );
});

/** What a service may do, as the kernel of the host tells it. */
async function privilegesOf(unit: string) {
  const status = (await host.run(['cat', `/proc/${await show(unit, 'MainPID')}/status`])).stdout;
  const { uid, permitted, effective, bounding, ambient, noNewPrivileges } = parsePrivileges(status);
  const seccomp = /^Seccomp:\t2$/m.test(status);
  return { root: uid === 0, sets: [permitted, effective, bounding, ambient], noNewPrivileges, seccomp };
}

test('neither service is root, and they have five capabilities and none, with system calls filtered', async () => {
  const five = maskOf(['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_NET_RAW', 'CAP_SYS_NICE']);
  const rest = { root: false, noNewPrivileges: true, seccomp: true };
  assert.deepEqual(await privilegesOf('mirrorplane-agent'), { ...rest, sets: [five, five, five, 0n] });
  assert.deepEqual(await privilegesOf('mirrorplane-controller'), { ...rest, sets: [0n, 0n, 0n, 0n] });
  for (const [unit, most] of [
    ['mirrorplane-agent', 3],
    ['mirrorplane-controller', 2],
  ] as const) {
    const { stdout } = await host.run(['systemd-analyze', 'security', unit], { check: false });
    const [, exposure] = /exposure level for \S+: ([0-9.]+)/.exec(stdout) ?? [];
    assert.ok(Number(exposure) < most, `${unit}: ${exposure}`);
  }
});

test('root makes a backup of the running controller, whose files stay its own, and restores it', async () => {
  const data = '/var/lib/mirrorplane';
  assert.match(await mirrorplane('store', 'backup', '/root/backup', '--data', data), /^wrote \d+ keys/);
  const strangers = async () => (await host.run(['find', data, '!', '-user', 'mirrorplane'])).stdout;
  assert.equal(await strangers(), '');
  await mirrorplane('domain', 'create', 'later');
  await host.run(['systemctl', 'stop', 'mirrorplane-controller']);
  await mirrorplane('store', 'restore', '/root/backup', '--data', data, '--overwrite');
  assert.equal(await strangers(), '');
  await host.run(['systemctl', 'start', 'mirrorplane-controller']);
  const { items } = await json('domain', 'list');
  assert.deepEqual(
    items.map(({ name }: { name: string }) => name),
    ['dc-1'],
  );
  await host.run(['rm', '/root/backup']);
});

test('files and pins of an agent that ran as root become those of its user', async () => {
  await host.run(['systemctl', 'stop', 'mirrorplane-agent']);
  const places = ['/var/lib/mirrorplane-agent', '/sys/fs/bpf/mirrorplane'];
  await host.run(['chown', '-R', 'root:root', ...places]);
  await host.run(['systemctl', 'start', 'mirrorplane-agent']);
  assert.equal(await isActive('mirrorplane-agent'), 'active');
  const { stdout } = await host.run(['find', ...places, '!', '-user', 'mirrorplane-agent']);
  assert.equal(stdout, '');
});

test('a policy copies what its source sends, all of it and nothing else', async () => {
  await until('the guests are known', async () => (await json('interface', 'list')).items.length === 3, {
    limitMs: 15_000,
  });
  await mirrorplane('policy', 'create', 'p', '--source', 'web', '--destination', 'ids', '--direction', 'outbound');
  await until('the policy is active', async () => (await json('policy', 'status', 'p')).state === 'active', {
    limitMs: 15_000,
  });
  const counter = await ids.start(NUMBERS, 'count', 'eth0');
  const sender = await web.start(NUMBERS, 'send', '10.9.0.2', '500');
  await until('a few hundred copies', async () => {
    const { totals } = await json('policy', 'status', 'p');
    return totals.copied.packets > 300;
  });
  await assertAllCopied(sender, counter);
});

async function assertAllCopied(sender: { end(): Promise<string> }, counter: { end(): Promise<string> }) {
  const sent = Number(await sender.end());
  const { seen, twice, others } = JSON.parse(await counter.end());
  const missing = Array.from({ length: sent }, (_, number) => number).filter((number) => !new Set(seen).has(number));
  assert.deepEqual({ missing: missing.slice(0, 10), twice, others }, { missing: [], twice: 0, others: 0 });
  assert.ok(sent > 300, `${sent} datagrams were sent`);
}

test('a newer build takes over while traffic runs, and no copy is lost', async () => {
  const packages = await build(NEW);
  const counter = await ids.start(NUMBERS, 'count', 'eth0');
  const sender = await web.start(NUMBERS, 'send', '10.9.0.2', '500');
  await host.run(['dpkg', '-i', '--force-confold', ...Object.values(packages)], { timeoutMs: 240_000 });
  for (const unit of ['mirrorplane-controller', 'mirrorplane-agent']) {
    assert.equal(await isActive(unit), 'active');
  }
  await until(
    'the node has the new build',
    async () => {
      const { agentVersion, connected } = await json('node', 'show', 'node-1');
      return connected && agentVersion === NEW;
    },
    { limitMs: 20_000 },
  );
  assert.match(await mirrorplane('version'), new RegExp(NEW));
  await assertAllCopied(sender, counter);
});

test('an older build is refused, and the running agent continues', async () => {
  const pid = await show('mirrorplane-agent', 'MainPID');
  const old = `/root/mirrorplane-agent_${OLD}_${ARCHITECTURE}.deb`;
  const { code, stderr } = await host.run(['dpkg', '-i', old], { check: false });
  assert.notEqual(code, 0);
  assert.match(stderr, /Nothing was changed/);
  assert.equal(await show('mirrorplane-agent', 'MainPID'), pid);
  const { stdout } = await host.run(['dpkg-query', '-W', 'mirrorplane-agent']);
  assert.equal(stdout.split('\t')[1]?.trim(), NEW);
});

test('an agent that hangs is ended and started again by its watchdog, and copying continues', async () => {
  await host.run(['mkdir', '-p', '/run/systemd/system/mirrorplane-agent.service.d']);
  const dropIn = '[Service]\nWatchdogSec=2\nWatchdogSignal=KILL\n';
  await host.run(['tee', '/run/systemd/system/mirrorplane-agent.service.d/quick.conf'], { input: dropIn });
  await host.run(['systemctl', 'daemon-reload']);
  await host.run(['systemctl', 'restart', 'mirrorplane-agent']);
  const pid = await show('mirrorplane-agent', 'MainPID');
  const counter = await ids.start(NUMBERS, 'count', 'eth0');
  const sender = await web.start(NUMBERS, 'send', '10.9.0.2', '200');
  await host.run(['sh', '-c', `kill -STOP ${pid}`]);
  await until(
    'another agent',
    async () => {
      const now = await show('mirrorplane-agent', 'MainPID');
      return now !== pid && now !== '0' && (await isActive('mirrorplane-agent')) === 'active';
    },
    { limitMs: 30_000 },
  );
  await assertAllCopied(sender, counter);
  await host.run(['rm', '-r', '/run/systemd/system/mirrorplane-agent.service.d']);
});

test(`a command takes less than ${QUICK} ms of CPU time`, async () => {
  const script = `TIMEFORMAT='%U %S'; for i in $(seq 20); do time mirrorplane policy list >/dev/null; done`;
  const { stderr } = await host.run(['bash', '-c', script]);
  const times = stderr
    .trim()
    .split('\n')
    .map((line) => 1000 * line.split(' ').reduce((sum, one) => sum + Number(one), 0));
  const median = times.sort((a, b) => a - b)[times.length / 2]!;
  assert.ok(median < QUICK, `median ${median} ms of ${times.map(Math.round)}`);
});

test('purging leaves the host as it was', async () => {
  const names = ['mirrorplane-agent', 'mirrorplane-controller', 'mirrorplane', 'mirrorplane-runtime'];
  await host.run(['rm', '/etc/mirrorplane/token', '/root/token']);
  for (const file of debsIn(join(host.root, 'root'))) {
    rmSync(join(host.root, 'root', file));
  }
  const { stderr } = await host.run(['dpkg', '--purge', ...names]);
  assert.doesNotMatch(stderr, /not everything was taken back/);
  assert.deepEqual(await picture(), untouched);
  assert.ok(!existsSync(join(host.root, 'var/lib/mirrorplane')));
});
