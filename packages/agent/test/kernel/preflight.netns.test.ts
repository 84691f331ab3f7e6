/**
 * The preflight checks on real hosts: this one, with something taken away from it for one process.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import type { Check, CheckId } from '../../src/preflight/check.ts';
import { readController } from '../../src/preflight/controller.ts';
import { tryDatapath } from '../../src/preflight/data-path.ts';
import { closeFd, loadSmallest } from '../../src/preflight/kernel-trials.ts';
import { judgeMirrorDevice, readMirrorDevice } from '../../src/preflight/mirror-device.ts';
import { tryNetwork } from '../../src/preflight/trial-network.ts';
import { testAuthority } from '../support.ts';
import { buildWith } from './support/build.ts';
import { processFolder } from './support/folder.ts';
import { addVeth, bpffsFolder, enterOwnNamespace, leftPins, link, run } from './support/namespace.ts';

const MIRRORPLANE = join(import.meta.dirname, '../../../../bin/mirrorplane');
/** A process of its own mount namespace, where `sh` can take away what it likes. */
const MOUNTS = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c'];

let controller: Server;
let connections = 0;
let port: number;
let bpffs: string;
let data: string;

before(async () => {
  enterOwnNamespace();
  controller = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => controller.listen(0, '127.0.0.1', resolve));
  ({ port } = controller.address() as { port: number });
});
beforeEach(() => {
  connections = 0;
  bpffs = bpffsFolder();
  data = join(processFolder(), 'data');
});
after(() => {
  controller.close();
  assert.deepEqual(leftPins(), []);
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, while the controller of this process can answer it. */
function runToEnd(argv: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      ended.stdout += text;
    });
    child.stderr.on('data', (text) => {
      ended.stderr += text;
    });
    child.once('close', (code) => resolve({ ...ended, code }));
  });
}

const agent = (...more: string[]) => [MIRRORPLANE, 'agent', '--bpffs', bpffs, '--data', data, ...more];
const starting = (...more: string[]) =>
  agent('--node', 'node-1', '--controller', `127.0.0.1:${port}`, '--token-file', '/dev/null', ...more);
/** In a mount namespace of its own, after commands of a shell. */
const afterShell = (commands: string, argv: readonly string[]) => [
  ...MOUNTS,
  `${commands} && exec "$@"`,
  'sh',
  ...argv,
];

interface Checked {
  code: number | null;
  fit: boolean;
  checks: Partial<Record<CheckId, Check>>;
}

/** What `--check` says. @param wrap what runs it */
async function check(
  wrap: (argv: string[]) => readonly string[] = (argv) => argv,
  ...more: string[]
): Promise<Checked> {
  const { code, stdout, stderr } = await runToEnd(wrap(agent('--check', '-o', 'json', ...more)));
  assert.match(stdout, /^\{/, stderr);
  const { fit, checks } = JSON.parse(stdout) as { fit: boolean; checks: Check[] };
  assert.equal(code, fit ? 0 : 1);
  return { code, fit, checks: Object.fromEntries(checks.map((one) => [one.id, one])) };
}

/** What could have been changed on this host. */
const picture = () => ({
  // The kernel writes the operational state of a new device some time after it came.
  links: run('ip', '-json', 'link', 'show').replaceAll(/"operstate":"\w+"/g, ''),
  qdiscs: run('tc', 'qdisc', 'show'),
  // Other tests of this machine mount, too; none of them in this place.
  mounts: readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / \/sys\/fs\/bpf /.test(line)),
  pins: existsSync(bpffs) ? readdirSync(bpffs, { recursive: true, encoding: 'utf8' }).sort() : 'none',
  data: existsSync(data),
});

test('a check of this host finds it fit, and changes nothing', async () => {
  const before = picture();
  const { fit, checks } = await check();
  assert.equal(fit, true);
  for (const id of [
    'root',
    'capabilities',
    'libbpf',
    'bpf',
    'kernel-features',
    'helper-device',
    'data-path',
  ] as const) {
    assert.equal(checks[id]?.state, 'ok', id);
  }
  // What needs an option is left out.
  assert.equal(connections, 0);
  assert.equal(checks['mirror-device'], undefined);
  assert.equal(checks.controller, undefined);
  assert.deepEqual(picture(), before);
});

test('a check beside a data path that runs says so, and changes nothing', async () => {
  const datapath = createKernelDatapath({ bpffs });
  await datapath.open();
  try {
    const before = picture();
    assert.ok(before.pins.includes('maps/captures'));
    const { fit, checks } = await check();
    assert.equal(fit, true);
    assert.match(checks['data-path']!.found, /installed/);
    assert.deepEqual(picture(), before);
  } finally {
    await datapath.uninstall();
  }
});

test('with a tmpfs in the place of bpffs an agent says what to do, and neither joins nor mounts', async () => {
  const hide = 'mount -t tmpfs -o mode=0700 none /sys/fs/bpf';
  const { code, stderr } = await runToEnd(afterShell(hide, starting()));
  assert.equal(code, 1);
  assert.match(stderr, /^error: this host cannot run the agent; .*no join token was used$/m);
  assert.match(
    stderr,
    /bpffs: \/sys\/fs\/bpf is on a file system of type tmpfs.*\n +-> unmount it, and run "mount -t bpf/,
  );
  assert.equal(connections, 0);
  assert.equal(existsSync(data), false);
  const { fit, checks } = await check((argv) => afterShell(hide, argv));
  assert.equal(fit, false);
  assert.equal(checks.bpffs?.state, 'failed');
});

test('with nothing mounted in the place of bpffs a check warns, and the start mounts it', async () => {
  // Somebody may have mounted it more than once.
  const hide = 'while umount /sys/fs/bpf 2>/dev/null; do :; done';
  const look = 'test "$(stat -f -c %T /sys/fs/bpf)" = sysfs';
  const { fit, checks } = await check((argv) => afterShell(`${hide}; ${look}`, argv));
  assert.equal(fit, true);
  assert.equal(checks.bpffs?.state, 'warning');
  assert.match(checks.bpffs.remedy!, /mount -t bpf/);
  // The token is not one: the start ends there, after the checks. Why a mount fails is in the debug log.
  const { code, stderr } = await runToEnd(afterShell(`${hide}; ${look}`, starting('--log-level', 'debug')));
  assert.equal(code, 1);
  assert.match(stderr, /bpf file system mounted/);
  assert.match(stderr, /^error: .*token/m);
  assert.equal(existsSync(bpffs), false);
});

test('without CAP_BPF an agent says so before it joins, and tries no program', async () => {
  const without = (argv: readonly string[]) => ['setpriv', '--bounding-set=-bpf,-sys_admin', '--', ...argv];
  const { fit, checks } = await check(without);
  assert.equal(fit, false);
  assert.equal(checks.capabilities?.state, 'failed');
  assert.match(checks.capabilities.found, /without CAP_BPF$/);
  assert.equal(checks['data-path']?.state, 'skipped');
  const { code, stderr } = await runToEnd(without(starting()));
  assert.equal(code, 1);
  assert.match(stderr, /capabilities: without CAP_BPF/);
  assert.equal(connections, 0);
  assert.equal(existsSync(bpffs), false);
});

test('root in another user namespace gets the message that its capabilities do not count', async () => {
  const { fit, checks } = await check((argv) => ['unshare', '--user', '--map-root-user', ...argv]);
  assert.equal(fit, false);
  assert.equal(checks.root?.state, 'ok');
  assert.match(checks.capabilities!.found, /user namespace/);
  assert.equal(checks.bpf?.state, 'skipped');
});

test('a trial in a network namespace works there, and this process returns to its own at once', async () => {
  const own = readlinkSync('/proc/self/ns/net');
  const smallest = loadSmallest();
  assert.ok('program' in smallest);
  const trial = tryNetwork(smallest.program);
  assert.equal(readlinkSync('/proc/self/ns/net'), own);
  assert.deepEqual(await trial, { veth: undefined, clsact: undefined, holdQueue: undefined });
  // What is no program is refused: the trial asks the kernel.
  const refused = await tryNetwork(0);
  assert.match(refused.clsact!, /EINVAL|EBADF/);
  assert.equal(refused.veth, undefined);
  closeFd(smallest.program);
});

test('without libbpf an agent names the package', async () => {
  const path = run('sh', '-c', "ldconfig -p | sed -n 's/.*libbpf[.]so[.]1 .*=> //p' | head -n 1").trim();
  const { fit, checks } = await check((argv) => afterShell(`mount --bind /dev/null "$(readlink -f ${path})"`, argv));
  assert.equal(fit, false);
  assert.equal(checks.libbpf?.state, 'failed');
  assert.match(checks.libbpf.remedy!, /libbpf1/);
  assert.equal(checks.bpf?.state, 'skipped');
});

test('without the types of the kernel an agent says so, and does not try to load programs', async () => {
  const { fit, checks } = await check((argv) => afterShell('mount -t tmpfs none /sys/kernel/btf', argv));
  assert.equal(fit, false);
  assert.equal(checks.btf?.state, 'failed');
  assert.match(checks.btf.remedy!, /CONFIG_DEBUG_INFO_BTF/);
  assert.equal(checks['data-path']?.state, 'skipped');
});

test('a mirror device is looked for before a node joins: there, up, with an address', async (t) => {
  const device = addVeth('pfund');
  t.after(() => run('ip', 'link', 'del', device.name));
  run('ip', 'link', 'property', 'add', 'dev', device.name, 'altname', 'underlay-of-the-rack-7');
  const mirror = async (name: string, address?: string) =>
    judgeMirrorDevice(await readMirrorDevice(name), { address, joined: false });
  assert.match((await mirror('pfnone')).found, /no device pfnone/);
  assert.match((await mirror(device.name)).found, /no IPv4 address/);
  // Not of global scope: no other node could answer.
  run('ip', 'addr', 'add', '169.254.7.7/16', 'scope', 'link', 'dev', device.name);
  assert.match((await mirror(device.name)).found, /no IPv4 address/);
  run('ip', 'addr', 'add', '192.0.2.7/24', 'dev', device.name);
  for (const name of [device.name, 'underlay-of-the-rack-7']) {
    const found = await mirror(name);
    assert.equal(found.state, 'ok');
    assert.match(found.found, new RegExp(`^${name}.*192[.]0[.]2[.]7, MTU ${link(device.name).mtu}`));
  }
  assert.equal((await mirror(device.name, '192.0.2.8')).state, 'failed');
  run('ip', 'link', 'set', device.name, 'down');
  assert.match((await mirror(device.name)).found, /is down/);
  const { code, stderr } = await runToEnd(starting('--mirror-device', device.name));
  assert.equal(code, 1);
  assert.match(stderr, /mirror-device: pfund is down\n +-> run "ip link set pfund up"/);
  assert.equal(connections, 0);
});

test('a certificate of another node is found before anything else happens', async (t) => {
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(join(data, 'node.crt'), testAuthority(t).issue('node-9').certificate);
  const { code, stderr } = await runToEnd(starting());
  assert.equal(code, 1);
  assert.match(stderr, /certificate: .*"node-9", and not to "node-1"/);
  assert.equal(connections, 0);
  assert.equal(existsSync(bpffs), false);
});

test('a controller is connected to by a check that names it', async () => {
  assert.equal((await check(undefined, '--controller', `127.0.0.1:${port}`)).checks.controller?.state, 'ok');
  assert.equal(connections, 1);
  assert.equal((await readController('127.0.0.1:9')).refused, 'ECONNREFUSED');
  assert.equal((await readController('no-such-host.invalid:7071')).address, undefined);
});

test('a program that the kernel refuses is shown with the last lines of the verifier', async () => {
  const source = 'SEC("tc") int reads_unchecked(struct __sk_buff *skb) { return *(volatile int *)(long)skb->data; }';
  const object = buildWith(processFolder(), source);
  const found = await tryDatapath(async () => createKernelDatapath({ bpffs, object }));
  assert.equal(found.state, 'failed');
  assert.match(found.found, /^Linux \S+ refuses the program reads_unchecked: EACCES/);
  assert.match(found.lines!.join('\n'), /invalid access to packet/);
  assert.equal(existsSync(bpffs), false);
});
