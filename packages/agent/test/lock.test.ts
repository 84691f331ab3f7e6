/** The lock of an agent on its folders: one agent, and nobody without rights. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { holdLock, holdPins, LOCK_FILE } from '../src/host/lock.ts';
import { uninstall } from '../src/uninstall.ts';
import { temporaryFolder } from './support.ts';

const NOBODY = 65534;
const asRoot = { skip: process.getuid?.() === 0 ? false : 'SKIPPED: needs root' };

/** A process that holds the lock of a folder until it is killed. */
async function holder(t: TestContext, what: 'holdLock' | 'holdPins', folder: string): Promise<ChildProcess> {
  const code = `
    import { ${what} } from '${new URL('../src/host/lock.ts', import.meta.url)}';
    const free = await ${what}(process.argv[1]);
    console.log('held');
    setInterval(() => free, 1000);
  `;
  const argv = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code, folder];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout!, 'data');
  return child;
}

for (const [what, hold] of Object.entries({ holdLock, holdPins }) as ['holdLock' | 'holdPins', typeof holdLock][]) {
  test(`${what}: a folder of another process is refused, and free after a kill of that process`, async (t) => {
    const folder = temporaryFolder(t);
    const child = await holder(t, what, folder);
    await assert.rejects(hold(folder), { message: `another agent uses ${folder}: stop it first` });
    child.kill('SIGKILL');
    await once(child, 'close');
    const free = await hold(folder);
    await assert.rejects(hold(folder), /stop it first/);
    free();
    (await hold(folder))();
  });

  test(
    `${what}: a folder that belongs to another user, or that others can write, is refused with the remedy`,
    asRoot,
    async (t) => {
      const folder = join(temporaryFolder(t), 'folder');
      mkdirSync(folder, { mode: 0o700 });
      chmodSync(folder, 0o770);
      await assert.rejects(hold(folder), {
        message: `other users may use ${folder} (mode 0770): run "chmod go-rwx ${folder}"`,
      });
      chmodSync(folder, 0o700);
      chownSync(folder, NOBODY, NOBODY);
      await assert.rejects(hold(folder), /belongs to user 65534: remove it, or give another directory/);
      chownSync(folder, 0, 0);
      (await hold(folder))();
    },
  );

  test(
    `${what}: a folder inside a folder that all can write is refused, and accepted if that is sticky`,
    asRoot,
    async (t) => {
      const above = join(temporaryFolder(t), 'above');
      const folder = join(above, 'folder');
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      chmodSync(above, 0o777);
      await assert.rejects(hold(folder), {
        message: `all users may write ${above}, so they can replace ${folder}: run "chmod o-w ${above}"`,
      });
      chmodSync(above, 0o1777);
      (await hold(folder))();
    },
  );

  test(`${what}: a user without rights can lock neither the folder nor a file in it`, asRoot, async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const free = await hold(folder);
    free();
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const again = await hold(folder);
    again();
    const target = what === 'holdLock' ? join(folder, LOCK_FILE) : folder;
    if (!existsSync(target)) {
      mkdirSync(target, { mode: 0o700 });
    }
    const flock = spawnSync('flock', ['-n', target, 'true'], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' });
    assert.match(flock.stderr, /Permission denied/);
    (await hold(folder))();
  });
}

test('a socket with the name that the lock had once keeps nobody out', async (t) => {
  const folder = temporaryFolder(t);
  const name = createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 32);
  const squatter = createServer().listen(`\0mirrorplane-agent-${name}`);
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  (await holdLock(folder))();
});

test('a lock file that is a link, or of another user, is not used', asRoot, async (t) => {
  const folder = temporaryFolder(t);
  const elsewhere = join(temporaryFolder(t), 'file');
  symlinkSync(elsewhere, join(folder, LOCK_FILE));
  await assert.rejects(holdLock(folder), /ELOOP/);
  assert.equal(existsSync(elsewhere), false);
  rmSync(join(folder, LOCK_FILE));
  writeFileSync(join(folder, LOCK_FILE), '', { mode: 0o600 });
  chownSync(join(folder, LOCK_FILE), NOBODY, NOBODY);
  await assert.rejects(holdLock(folder), /lock belongs to user 65534: remove it/);
});

test('a folder of pins is made for the owner alone, goes when it is empty and stays with what is in it', async (t) => {
  const folder = join(temporaryFolder(t), 'pins');
  const free = await holdPins(folder);
  assert.equal(statSync(folder).mode & 0o7777, 0o700);
  free();
  assert.equal(existsSync(folder), false);
  const again = await holdPins(folder);
  mkdirSync(join(folder, 'maps'));
  again();
  assert.equal(existsSync(join(folder, 'maps')), true);
});

test('a link in the place of the folder of pins is refused', asRoot, async (t) => {
  const above = temporaryFolder(t);
  mkdirSync(join(above, 'of-others'), { mode: 0o700 });
  symlinkSync(join(above, 'of-others'), join(above, 'pins'));
  await assert.rejects(holdPins(join(above, 'pins')), /pins is a symbolic link: give the directory that it points to/);
});

test('uninstall is refused while an agent with another data folder has the pins, and leaves no file behind', async (t) => {
  const above = temporaryFolder(t);
  const [data, bpffs] = [join(above, 'data'), join(above, 'pins')];
  mkdirSync(data, { mode: 0o700 });
  const datapath = new FakeDatapath();
  const free = await holdPins(bpffs);
  await assert.rejects(uninstall({ data, bpffs, datapath }), { message: `another agent uses ${bpffs}: stop it first` });
  assert.equal(existsSync(data), true);
  free();
  await uninstall({ data, bpffs, datapath });
  assert.deepEqual([existsSync(data), existsSync(bpffs)], [false, false]);
});
