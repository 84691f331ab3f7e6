/** What is made of facts about a host: each row is a host that could be. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { judgeBpf, judgeJit, judgeLockdown, judgeMemlock, parseMemlock } from '../src/preflight/bpf.ts';
import { type BpffsFacts, judgeBpffs, readBpffs } from '../src/preflight/bpffs.ts';
import { judgeCertificate, judgeClock, readCertificate } from '../src/preflight/certificate.ts';
import { CHECK_IDS, type Check, failed, HostUnfit, isFit, ok, skipped, warning } from '../src/preflight/check.ts';
import { judgeController } from '../src/preflight/controller.ts';
import { type DataFolderFacts, judgeDataFolder, readDataFolder } from '../src/preflight/data-folder.ts';
import {
  judgeBtf,
  judgeHelperDevice,
  judgeHoldQueue,
  judgeHook,
  judgeKernelFeatures,
} from '../src/preflight/kernel-features.ts';
import { judgeLibbpf, judgeRuntime } from '../src/preflight/libraries.ts';
import { judgeMirrorDevice, type MirrorDeviceFacts } from '../src/preflight/mirror-device.ts';
import { renderChecks } from '../src/preflight/render.ts';
import { hasCapability, judgeCapabilities, judgeRoot, parseRights } from '../src/preflight/rights.ts';
import { link, temporaryFolder } from './support.ts';

/**
 * Asserts the state, that what was found says so, and that there is a remedy exactly where
 * something is to be done.
 */
function assertCheck(check: Check, state: Check['state'], found: RegExp, remedy?: RegExp): void {
  assert.equal(check.state, state, check.found);
  assert.match(check.found, found);
  assert.equal(check.remedy !== undefined, state === 'warning' || state === 'failed');
  if (remedy) {
    assert.match(check.remedy!, remedy);
  }
}

describe('rights', () => {
  const HOST = 'user:[4026531837]';
  const status = (uid: number, effective: string) => `Name:\tnode\nUid:\t1000\t${uid}\t0\t0\nCapEff:\t${effective}\n`;
  // Lines as the kernel writes them: of root on a host, of Docker's default set, of a service with
  // three capabilities.
  const ALL = '000001ffffffffff';
  const DOCKER = '00000000a80425fb';
  const THREE = '000000c000001000';

  test('the effective user counts, and not the real one', () => {
    assertCheck(judgeRoot(parseRights(status(0, ALL), HOST)), 'ok', /root/);
    assertCheck(judgeRoot(parseRights(status(1000, THREE), HOST)), 'ok', /user 1000, with capabilities/);
    assertCheck(judgeRoot(parseRights(status(1000, '0'), HOST)), 'failed', /user 1000/, /root.*CAP_SYS_NICE/);
  });

  test('capabilities that are missing are named, all of them', () => {
    const judge = (effective: string) => judgeCapabilities(parseRights(status(0, effective), HOST));
    assertCheck(judge(ALL), 'ok', /CAP_BPF/);
    assertCheck(judge(THREE), 'ok', /CAP_PERFMON/);
    assertCheck(judge(DOCKER), 'failed', /without CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON$/, /--cap-add/);
    // CAP_SYS_ADMIN, bit 21, stands for two of them.
    assertCheck(judge('0000000000200000'), 'failed', /without CAP_NET_ADMIN$/);
    assertCheck(judge('0000000000201000'), 'ok', /./);
  });

  test('capabilities of a user namespace do not count', () => {
    assertCheck(judgeCapabilities(parseRights(status(0, ALL), 'user:[4026532201]')), 'failed', /user namespace/);
  });

  test('a capability is read from its bit', () => {
    const facts = parseRights(status(0, '0000000001000000'), HOST);
    assert.equal(hasCapability(facts, 'CAP_SYS_RESOURCE'), true);
    assert.equal(hasCapability(facts, 'CAP_SYS_ADMIN'), false);
  });
});

describe('software', () => {
  test('an old Node.js and a missing libbpf are failures', () => {
    assertCheck(judgeRuntime('24.0.0'), 'ok', /24\.0\.0/);
    assertCheck(judgeRuntime('20.19.2'), 'failed', /20\.19\.2/, /24/);
    assertCheck(judgeLibbpf({ version: '1.5' }), 'ok', /1\.5/);
    assertCheck(judgeLibbpf({ error: 'cannot open shared object file' }), 'failed', /cannot open/, /libbpf1/);
  });
});

describe('the kernel', () => {
  test('a refusal of the smallest program says where to look', () => {
    assertCheck(judgeBpf(undefined), 'ok', /loads/);
    assertCheck(judgeBpf('EPERM'), 'failed', /EPERM/, /seccomp/);
    assertCheck(judgeBpf('ENOSYS'), 'failed', /no bpf system call/, /CONFIG_BPF_SYSCALL/);
    assertCheck(judgeBpf('E2BIG'), 'failed', /E2BIG/);
  });

  test('lockdown is a warning in the one mode that may matter', () => {
    assertCheck(judgeLockdown(undefined), 'ok', /no lockdown/);
    assertCheck(judgeLockdown('[none] integrity confidentiality\n'), 'ok', /no lockdown/);
    assertCheck(judgeLockdown('none [integrity] confidentiality\n'), 'ok', /integrity/);
    assertCheck(
      judgeLockdown('none integrity [confidentiality]\n'),
      'warning',
      /confidentiality/,
      /lockdown=integrity/,
    );
  });

  test('locked memory is limited where the kernel counts by the limit, and the agent may not raise it', () => {
    const limits = (hard: string) =>
      `Limit   Soft Limit   Hard Limit   Units\nMax locked memory         65536                ${hard}                bytes     \n`;
    assert.equal(parseMemlock(limits('65536')), 65536);
    assert.equal(parseMemlock(limits('unlimited')), undefined);
    assertCheck(judgeMemlock(true, { limit: 65536, canRaise: false }), 'ok', /control group/);
    assertCheck(judgeMemlock(false, { limit: 65536, canRaise: true }), 'ok', /raise/);
    assertCheck(judgeMemlock(false, { limit: undefined, canRaise: false }), 'ok', /enough/);
    assertCheck(judgeMemlock(false, { limit: 65536, canRaise: false }), 'warning', /64 KiB/, /LimitMEMLOCK/);
  });

  test('features that are missing are named with the version that has them', () => {
    assertCheck(judgeKernelFeatures([], '6.1.0-42-amd64'), 'ok', /6\.1\.0/);
    assertCheck(
      judgeKernelFeatures(['checkMtu', 'atomics'], '5.10.0-36-amd64'),
      'failed',
      /5\.10\.0.*bpf_check_mtu \(since 5\.12\)/,
    );
  });

  test('a missing feature is a failure, or a warning that says which function will not work', () => {
    assertCheck(judgeHoldQueue('ENOENT'), 'warning', /migrates/, /sch_tbf/);
    assertCheck(judgeJit(false), 'warning', /interpreted/, /bpf_jit_enable/);
    assertCheck(judgeBtf(false), 'failed', /types/, /CONFIG_DEBUG_INFO_BTF/);
    assertCheck(judgeHelperDevice('EOPNOTSUPP'), 'failed', /EOPNOTSUPP/, /modprobe veth/);
    for (const check of [judgeBtf(true), judgeHoldQueue(undefined), judgeJit(true), judgeHelperDevice(undefined)]) {
      assertCheck(check, 'ok', /./);
    }
  });

  test('the hook is the one that is asked for, if the kernel has it', () => {
    const judge = (choice: 'auto' | 'tcx' | 'clsact', tcx: boolean, clsact?: string) =>
      judgeHook({ choice, tcx, clsact }, '6.1.0-42-amd64');
    assertCheck(judge('auto', true, 'ENOENT'), 'ok', /^tcx$/);
    assertCheck(judge('auto', false), 'ok', /^clsact/);
    assertCheck(judge('auto', false, 'ENOENT'), 'failed', /clsact: ENOENT/, /cls_bpf/);
    assertCheck(judge('tcx', false), 'failed', /6\.1\.0-42-amd64 has no tcx/, /--hook auto/);
    assertCheck(judge('clsact', true), 'ok', /^clsact$/);
    assertCheck(judge('clsact', true, 'ENOENT'), 'failed', /ENOENT/, /--hook auto/);
  });
});

describe('folders', () => {
  const folder = { isFolder: true, uid: 0, foreign: false, mode: 0o700, refused: undefined };
  const pins: BpffsFacts = {
    ...folder,
    folder: '/sys/fs/bpf/mirrorplane',
    nearest: '/sys/fs/bpf',
    type: 'bpf',
    shared: true,
    canMount: true,
  };
  const inPlace = { nearest: pins.folder };

  test('a bpf file system that only root may write is ok', () => {
    assertCheck(judgeBpffs(pins), 'ok', /mirrorplane/);
    assertCheck(judgeBpffs({ ...pins, ...inPlace }), 'ok', /mirrorplane/);
    assertCheck(judgeBpffs({ ...pins, shared: undefined }), 'ok', /./);
  });

  test('a folder for pins that others can write, or make, is not passed over', () => {
    assertCheck(judgeBpffs({ ...pins, mode: 0o1777 }), 'warning', /before the agent does/, /mode=0700/);
    assertCheck(judgeBpffs({ ...pins, mode: 0o777 }), 'failed', /0777/, /chmod go-w/);
    assertCheck(judgeBpffs({ ...pins, ...inPlace, mode: 0o1777 }), 'failed', /1777/, /chmod go-w/);
    assertCheck(judgeBpffs({ ...pins, ...inPlace, uid: 1000, foreign: true }), 'failed', /user 1000/, /chown root/);
    assertCheck(judgeBpffs({ ...pins, ...inPlace, uid: 1000 }), 'ok', /mirrorplane/);
    assertCheck(judgeBpffs({ ...pins, refused: 'EACCES' }), 'failed', /another user/, /for the user of the agent/);
    assertCheck(judgeBpffs({ ...pins, refused: 'EROFS' }), 'failed', /EROFS/, /remount,rw/);
  });

  test('another file system in the place of bpf is left alone and said', () => {
    assertCheck(judgeBpffs({ ...pins, type: 'tmpfs' }), 'failed', /type tmpfs/, /unmount it.*mount -t bpf/);
    const elsewhere = { folder: '/var/pins', nearest: '/var', type: 'ext4' };
    assertCheck(judgeBpffs({ ...pins, ...elsewhere }), 'failed', /\/var is on .*ext4/, /--bpffs/);
  });

  test('a bpf file system that is not mounted is mounted at the start, if that is allowed', () => {
    const free = { ...pins, type: 'sysfs' };
    assertCheck(judgeBpffs(free), 'warning', /mounts one/, /mount -t bpf/);
    assertCheck(judgeBpffs({ ...free, shared: false }), 'warning', /copying ends with the agent/, /on the host/);
    assertCheck(judgeBpffs({ ...free, canMount: false }), 'failed', /no bpf file system/, /CAP_SYS_ADMIN/);
    assertCheck(judgeBpffs({ ...free, nearest: '/sys/fs' }), 'failed', /no \/sys\/fs\/bpf/, /CONFIG_BPF_SYSCALL/);
  });

  test('pins that go with the mount namespace are a warning', () => {
    assertCheck(judgeBpffs({ ...pins, shared: false }), 'warning', /copying ends with the agent/);
  });

  const data: DataFolderFacts = { ...folder, folder: '/var/lib/m', nearest: '/var/lib/m', free: 2 ** 30 };
  test('a data folder is of root, and can be written by root alone', () => {
    assertCheck(judgeDataFolder(data), 'ok', /\/var\/lib\/m$/);
    assertCheck(judgeDataFolder({ ...data, nearest: '/var/lib', mode: 0o1777 }), 'ok', /creates/);
    assertCheck(judgeDataFolder({ ...data, uid: 33, foreign: true }), 'failed', /user 33/, /chown/);
    assertCheck(judgeDataFolder({ ...data, mode: 0o775 }), 'failed', /other users may write/, /chmod/);
    assertCheck(judgeDataFolder({ ...data, isFolder: false }), 'failed', /is a file/, /--data/);
    assertCheck(judgeDataFolder({ ...data, refused: 'EROFS' }), 'failed', /EROFS/, /--data/);
    assertCheck(judgeDataFolder({ ...data, free: 3 * 2 ** 20 }), 'warning', /3 MiB/, /free disk space/);
  });
});

test('a folder that the start would refuse is refused by the check: by way of a link, or under one that all may write', (t) => {
  const above = temporaryFolder(t);
  symlinkSync(join(above, 'nowhere'), join(above, 'dangling'));
  assert.throws(() => readDataFolder(join(above, 'dangling')), /dangling is a symbolic link with a missing target/);
  assert.throws(
    () => readDataFolder(join(above, 'dangling/data')),
    /dangling is a symbolic link with a missing target/,
  );
  mkdirSync(join(above, 'data'));
  symlinkSync(join(above, 'data'), join(above, 'link'));
  assert.equal(readDataFolder(join(above, 'link')).isFolder, true, 'one that leads to a folder is as good as that');
  assert.throws(() => readBpffs(join(above, 'link'), true), /link is a symbolic link: give the directory/);
  mkdirSync(join(above, 'open'));
  chmodSync(join(above, 'open'), 0o777);
  assert.throws(() => readDataFolder(join(above, 'open/new/data')), /all users may write .*open.*chmod o-w/);
});

describe('certificate and clock', () => {
  const at = (text: string) => new Date(`${text}T00:00:00Z`);
  const certificate = { node: 'node-1', from: at('2026-01-01'), to: at('2027-01-01') };
  const judge = (facts: Parameters<typeof judgeCertificate>[0], now: string, node?: string, token?: boolean) =>
    judgeCertificate(facts, { data: '/var/lib/m', now: at(now), node, token });

  test('a node that has not joined needs a token, when it starts', () => {
    assertCheck(judge(undefined, '2026-06-01'), 'ok', /join token/);
    assertCheck(judge(undefined, '2026-06-01', 'node-1', true), 'ok', /join token/);
    assertCheck(judge(undefined, '2026-06-01', 'node-1', false), 'failed', /not joined/, /node token node-1.*--token/);
  });

  test('a certificate is that of the node, readable, and valid or renewed by a token', () => {
    assertCheck(judge(certificate, '2026-06-01', 'node-1', false), 'ok', /2027-01-01/);
    assertCheck(judge(certificate, '2026-06-01'), 'ok', /node-1/);
    assertCheck(judge(certificate, '2026-06-01', 'node-2', true), 'failed', /"node-1".*"node-2"/, /--data/);
    assertCheck(
      judge(certificate, '2027-02-01', 'node-1', false),
      'warning',
      /ended on .* copies as before/,
      /--token/,
    );
    assertCheck(judge(certificate, '2027-02-01', 'node-1', true), 'ok', /joins again/);
    assertCheck(judge({ error: 'no PEM' }, '2026-06-01'), 'failed', /no PEM/, /remove it/);
  });

  test('a special or large file in place of a certificate is neither waited for nor read whole', async (t) => {
    const folder = temporaryFolder(t);
    const put = (name: string) => join(folder, name, 'node.crt');
    for (const name of ['none', 'pipe', 'large', 'folder']) {
      mkdirSync(join(folder, name));
    }
    execFileSync('mkfifo', [put('pipe')]);
    writeFileSync(put('large'), Buffer.alloc(1 << 20));
    mkdirSync(put('folder'));
    const read = async (name: string) => {
      const facts = await readCertificate(join(folder, name));
      return facts && 'error' in facts ? facts.error : facts;
    };
    assert.equal(await read('none'), undefined);
    assert.match(`${await read('pipe')}`, /./);
    assert.match(`${await read('large')}`, /larger than 65536 bytes/);
    assert.match(`${await read('folder')}`, /node.crt is not a file/);
  });

  test('a clock before the certificate, or before the agent itself, is a warning: it copies all the same', () => {
    assertCheck(judgeClock(at('2026-06-01'), at('2026-05-01'), certificate), 'ok', /2026-06-01/);
    assertCheck(judgeClock(at('1970-01-01'), undefined, certificate), 'warning', /1970.*2026-01-01/, /NTP/);
    assertCheck(judgeClock(at('1970-01-01'), at('2026-05-01'), undefined), 'warning', /1970.*installed/, /NTP/);
    // Files that a clock wrote which was a little ahead.
    assertCheck(judgeClock(new Date('2026-04-30T12:00:00Z'), at('2026-05-01'), undefined), 'ok', /./);
  });
});

describe('the mirror device', () => {
  const facts: MirrorDeviceFacts = {
    name: 'eth1',
    link: link('eth1', 3),
    addresses: ['10.0.0.1'],
    master: undefined,
    others: ['eth0'],
  };
  const question = { address: undefined, joined: false };

  test('is an Ethernet device that is up and has an address', () => {
    assertCheck(
      judgeMirrorDevice({ ...facts, link: link('eth1', 3, { mtu: 1550 }) }, question),
      'ok',
      /eth1, 10\.0\.0\.1, MTU 1550$/,
    );
    assertCheck(judgeMirrorDevice(facts, question), 'ok', /more than 1450 bytes/);
    assertCheck(judgeMirrorDevice({ ...facts, name: 'uplink' }, question), 'ok', /^uplink \(eth1\)/);
    assertCheck(
      judgeMirrorDevice({ ...facts, addresses: ['10.0.0.1', '10.0.0.2'] }, { ...question, address: '10.0.0.2' }),
      'ok',
      /10\.0\.0\.2/,
    );
  });

  const cases: [string, Partial<MirrorDeviceFacts>, string | undefined, RegExp, RegExp][] = [
    ['is not there', { link: undefined }, undefined, /no device eth1/, /as eth0/],
    ['is down', { link: link('eth1', 3, { up: false }) }, undefined, /is down/, /ip link set eth1 up/],
    ['has no address', { addresses: [] }, undefined, /no IPv4 address/, /ip addr add/],
    ['is a port of a bridge', { addresses: [], master: 'vmbr0' }, undefined, /part of vmbr0/, /as vmbr0$/],
    ['has another address', {}, '10.0.0.9', /10\.0\.0\.1, but not 10\.0\.0\.9/, /--mirror-address/],
  ];
  for (const [what, more, address, found, remedy] of cases) {
    test(`a mirror device that ${what} fails the check before joining, and is a warning after it`, () => {
      assertCheck(judgeMirrorDevice({ ...facts, ...more }, { address, joined: false }), 'failed', found, remedy);
      assertCheck(judgeMirrorDevice({ ...facts, ...more }, { address, joined: true }), 'warning', found, remedy);
    });
  }

  test('that can never do is a failure for every node', () => {
    const lo = link('lo', 1, { ethernet: false });
    assertCheck(judgeMirrorDevice({ ...facts, name: 'lo', link: lo }, { ...question, joined: true }), 'failed', /lo/);
    const wg = link('wg0', 4, { ethernet: false });
    assertCheck(judgeMirrorDevice({ ...facts, link: wg }, { ...question, joined: true }), 'failed', /not an Ethernet/);
  });
});

test('a controller that cannot be found or reached is a warning', () => {
  const controller = 'ctl:7071';
  assertCheck(judgeController({ controller, address: '10.0.0.9', refused: undefined }), 'ok', /reached/);
  assertCheck(judgeController({ controller, address: undefined, refused: 'ENOTFOUND' }), 'warning', /ENOTFOUND/, /DNS/);
  assertCheck(
    judgeController({ controller, address: '10.0.0.9', refused: 'ETIMEDOUT' }),
    'warning',
    /10\.0\.0\.9/,
    /--agent-listen/,
  );
});

describe('the list', () => {
  const checks = [
    ok('root', 'runs as root'),
    warning('btf', 'no types', 'boot another kernel'),
    { ...failed('data-path', 'refused', 'report it'), lines: ['0: exit', 'R0 !read_ok'] },
    failed('bpffs', 'tmpfs\x1b[2J', 'unmount it'),
    skipped('jit', 'see the failed check above'),
  ];

  test('has a line for each check, and what to do below it', () => {
    assert.equal(
      renderChecks(checks),
      [
        'STATE    CHECK      FOUND',
        'ok       root       runs as root',
        'warning  btf        no types',
        '                    -> boot another kernel',
        'failed   data-path  refused',
        '                      0: exit',
        '                      R0 !read_ok',
        '                    -> report it',
        'failed   bpffs      tmpfs\ufffd[2J',
        '                    -> unmount it',
        'skipped  jit        not tried: see the failed check above',
        '',
        'The agent cannot run on this host: 2 failed, 1 warning.',
        '',
      ].join('\n'),
    );
  });

  test('is fit with warnings, and not with a failure', () => {
    assert.equal(isFit(checks.slice(0, 2)), true);
    assert.equal(isFit(checks), false);
  });

  test('becomes one error that has all failures, and nothing else', () => {
    const { message } = new HostUnfit(checks);
    for (const part of ['data-path: refused', 'R0 !read_ok', '-> report it', 'bpffs: tmpfs', '-> unmount it']) {
      assert.ok(message.includes(part), part);
    }
    assert.ok(!message.includes('btf') && !message.includes('root:'));
  });

  test('is explained check by check in docs/install.md', () => {
    const text = readFileSync(new URL('../../../docs/install.md', import.meta.url), 'utf8');
    const [, section = ''] = text.split('\n## The checks\n');
    const rows = [...section.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id]) => id);
    assert.deepEqual(rows, CHECK_IDS);
  });
});
