/** `mirrorplane auth`, and labels of interfaces. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

describe('auth', () => {
  const controller = new Controller();
  const reader = () => ({
    MIRRORPLANE_TOKEN: readFileSync(path.join(path.dirname(controller.tokenFile), 'read-token'), 'utf8').trim(),
  });

  before(async () => {
    await controller.start();
    assert.equal((await controller.run(['apply', '-f', '-'], { input: CLUSTER })).code, 0);
  });
  after(() => controller.close());

  it('can-i says yes or no with the reason, and the exit code tells it too', async () => {
    const may = await controller.run(['auth', 'can-i', 'mirror', 'interface/web-1/0']);
    assert.deepEqual([may.code, may.stdout], [0, 'yes: you have the right everywhere\n']);
    const no = await controller.run(['auth', 'can-i', 'mirror', 'interface/web-1/0'], { env: reader() });
    assert.deepEqual([no.code, no.stdout], [6, 'no\n']);
    assert.match(no.stderr, /no role that you have has the right "mirror"/);
    const json = await controller.run(['-o', 'json', 'auth', 'can-i', 'read'], { env: reader() });
    assert.deepEqual([json.code, JSON.parse(json.stdout).allowed], [0, true]);
    assert.equal((await controller.run(['auth', 'can-i', 'fly'])).code, 2);
    assert.equal((await controller.run(['auth', 'can-i', 'mirror', 'web-1'])).code, 3);
  });

  it('who-can lists who may, with the grants that allow it', async () => {
    const { code, stdout } = await controller.run(['auth', 'who-can', 'mirror', 'interface/web-1/0']);
    assert.equal(code, 0);
    assert.match(stdout, /^user +admin +admin$/m);
    assert.match(stdout, /^token +admin +admin$/m);
    assert.doesNotMatch(stdout, /read/);
  });

  it('roles lists each role with its rights', async () => {
    const { code, stdout } = await controller.run(['auth', 'roles']);
    assert.equal(code, 0);
    assert.match(stdout, /^operator +read, metrics, policy, mirror, send$/m);
    assert.match(stdout, /^admin +.*access$/m);
  });

  it('a refusal names the missing right', async () => {
    const { code, stderr } = await controller.run(['policy', 'delete', 'none'], { env: reader() });
    assert.equal(code, 6);
    assert.match(stderr, /the right "policy" is missing/);
  });

  it('declare gives an interface labels, which bind keeps', async () => {
    const words = ['interface', 'declare', 'web-1/0', '--kind', 'vm', '--pool', 'rack-1'];
    assert.equal((await controller.run([...words, '--label', 'tenant=blue', 'tier=web'])).code, 0);
    assert.equal((await controller.run(['interface', 'bind', 'web-1/0', '--node', 'node-1'])).code, 0);
    const { stdout } = await controller.run(['interface', 'show', 'web-1/0']);
    assert.match(stdout, /^labels:? +tenant=blue, tier=web$/m);
    assert.equal((await controller.run([...words, '--label', 'blue'])).code, 2);
  });
});

describe('policies that wait or end', () => {
  const controller = new Controller();
  const base = ['policy', 'create', 'tap', '--source', 'web-1/0', '--destination', 'ids-1/0'];

  before(async () => {
    await controller.start();
    assert.equal((await controller.run(['apply', '-f', '-'], { input: CLUSTER })).code, 0);
  });
  after(() => controller.close());

  it('--for gives a policy an end, which show has and edit removes', async () => {
    assert.equal((await controller.run([...base, '--for', '8h', '--until', '2099-01-01T00:00:00Z'])).code, 2);
    assert.equal((await controller.run([...base, '--until', '2020-01-01T00:00:00Z'])).code, 3);
    assert.equal((await controller.run([...base, '--for', '8h'])).code, 0);
    assert.match((await controller.run(['policy', 'show', 'tap'])).stdout, /^ends: +\d{4}-/m);
    assert.equal((await controller.run(['policy', 'edit', 'tap', '--until', 'none'])).code, 0);
    assert.doesNotMatch((await controller.run(['policy', 'show', 'tap'])).stdout, /^ends:/m);
  });

  it('approve and reject are refused where nothing waits', async () => {
    for (const verb of ['approve', 'reject']) {
      const { code, stderr } = await controller.run(['policy', verb, 'tap']);
      assert.equal(code, 5, stderr);
    }
  });
});
