/** An uninstall that reaches only a part of the data plane says so, and leaves all as it is. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { HOOK, programsAt } from './support/hook.ts';
import { bpffsFolder, link, run } from './support/namespace.ts';
import { capturesOf, localTo, stateOf, useWorld } from './support/world.ts';

const MIRRORPLANE = join(import.meta.dirname, '../../../../bin/mirrorplane');
const APPLIER = join(import.meta.dirname, 'support', 'applier.ts');
/** Filters at clsact stay without pins, and are told by their names. */
const options = { skip: HOOK === 'clsact' ? 'for links at tcx' : false };

const world = await useWorld();
const data = mkdtempSync(join(tmpdir(), 'mirrorplane-uninstall-'));

before(async () => {
  writeFileSync(join(data, 'program.json'), '{}');
  writeFileSync(join(data, 'lock'), '', { mode: 0o600 });
  const captures = capturesOf(world.devices.vm.ifindex, 'L');
  await world.datapath.apply(stateOf({ captures, deliveries: [localTo(world.devices.dst.ifindex)] }));
  world.datapath.close();
  // Else the first picture may show a bridge that is still without a carrier.
  await until('the bridge is up', () => run('ip', 'link', 'show', 'lan').includes('state UP'));
});
after(() => rmSync(data, { recursive: true, force: true }));

const programsOfVm = () => (['ingress', 'egress'] as const).map((hook) => programsAt(world.devices.vm.ifindex, hook));

/** What an uninstall removes: devices, programs, pins and files. */
function picture(): unknown {
  return {
    links: run('ip', '-o', 'link', 'show'),
    programs: [...programsOfVm(), programsAt(link('mirror0').ifindex, 'egress')],
    pins: readdirSync(world.bpffs, { recursive: true }).sort(),
    files: readdirSync(data),
  };
}

/** Runs `mirrorplane agent --uninstall` behind the words of `wrapper`. */
function uninstall(bpffs: string, ...wrapper: string[]) {
  return uninstallWith(data, bpffs, wrapper);
}

function uninstallWith(folder: string, bpffs: string, wrapper: readonly string[] = []) {
  const argv = [...wrapper, MIRRORPLANE, 'agent', '--uninstall', '--data', folder, '--bpffs', bpffs];
  const { status, stderr } = spawnSync(argv[0]!, argv.slice(1), { encoding: 'utf8' });
  return { status, stderr };
}

test('an uninstall that names other pins is refused, and changes nothing', () => {
  const before = picture();
  const { status, stderr } = uninstall(bpffsFolder());
  const says =
    HOOK === 'clsact'
      ? `error: mirror0 is in use by the data plane in ${world.bpffs}: give "--bpffs ${world.bpffs}"`
      : 'error: mirror0 is in use, but ';
  assert.ok(stderr.startsWith(says), stderr);
  assert.equal(status, 1);
  assert.deepEqual(picture(), before);
});

const partly: [what: string, bpffs: string, wrapper: string[], says: RegExp][] = [
  [
    'does not see the pins',
    world.bpffs,
    ['unshare', '-m', 'sh', '-c', 'umount /sys/fs/bpf && exec "$@"', 'sh'],
    /mount/,
  ],
  ['runs in another network namespace', world.bpffs, ['unshare', '-n'], /^error: .* is in another network namespace/],
];
for (const [what, bpffs, wrapper, says] of partly) {
  test(`an uninstall that ${what} is refused, and changes nothing`, options, () => {
    const before = picture();
    const { status, stderr } = uninstall(bpffs, ...wrapper);
    assert.match(stderr, says);
    assert.equal(status, 1);
    assert.deepEqual(picture(), before);
  });
}

test('the right uninstall removes all of it, and a second one finds nothing to do', () => {
  for (let i = 0; i < 2; i++) {
    const { status, stderr } = uninstall(world.bpffs);
    assert.equal(status, 0);
    assert.doesNotMatch(stderr, /no agent has used/);
    assert.deepEqual([existsSync(world.bpffs), existsSync(data)], [false, false]);
    assert.deepEqual(programsOfVm(), [[], []]);
    assert.doesNotMatch(run('ip', '-o', 'link', 'show'), /mirror0/);
  }
});

test('the pins of a network namespace that is gone are removed', options, async () => {
  const bpffs = bpffsFolder();
  const states = `${bpffs.replaceAll('/', '_')}.json`;
  const file = join(tmpdir(), states);
  writeFileSync(file, JSON.stringify([stateOf({})]));
  const child = spawn('unshare', ['-n', process.execPath, APPLIER, bpffs, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await until(
      'an applied state',
      () => existsSync(join(bpffs, 'links')) && readdirSync(join(bpffs, 'links')).length > 0,
    );
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
    rmSync(file);
  }
  // The kernel takes the namespace away in the background.
  await until('the uninstall', () =>
    createKernelDatapath({ hook: HOOK, bpffs })
      .uninstall()
      .then(
        () => true,
        () => false,
      ),
  );
  assert.equal(existsSync(bpffs), false);
});

const OTHER_DATA = /"data":"[^"]*-other".*no agent has used this data folder: .*--data of the agent/;

test('an uninstall with another data folder says so, and leaves the files of the agent', async () => {
  mkdirSync(data);
  writeFileSync(join(data, 'lock'), '', { mode: 0o600 });
  const bpffs = bpffsFolder();
  const datapath = createKernelDatapath({ hook: HOOK, bpffs });
  await datapath.open();
  datapath.close();
  const { status, stderr } = uninstallWith(`${data}-other`, bpffs);
  assert.match(stderr, OTHER_DATA);
  assert.equal(status, 0);
  assert.deepEqual([existsSync(bpffs), existsSync(`${data}-other`)], [false, false]);
  assert.deepEqual(readdirSync(data), ['lock']);
});
