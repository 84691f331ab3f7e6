/** Commands about policies. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Policy, PolicyStatus } from '@mirrorplane/contract';
import { parse, parseAllDocuments } from 'yaml';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

const COMMAND = fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url));

describe('policy', () => {
  const controller = new Controller();
  const policy = (...args: string[]) => controller.run(['policy', ...args]);
  const shown = (name: string) => controller.api<Policy>('GET', `/policies/${name}`);
  const all = async () => (await controller.api<{ items: Policy[] }>('GET', '/policies')).items;
  const names = async () => (await all()).map(({ name }) => name);

  before(async () => {
    await controller.start();
    const { code, stderr } = await controller.run(['apply', '-f', '-'], { input: CLUSTER });
    assert.equal(code, 0, stderr);
  });
  after(() => controller.close());
  beforeEach(async () => {
    for (const name of await names()) {
      await controller.api('DELETE', `/policies/${name}`);
    }
    const base = { name: 'base', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0' };
    await controller.api('POST', '/policies', base);
  });

  /** An editor that is a shell script; "$1" is the file. */
  const editor = (script: string): Record<string, string> => {
    const file = join(controller.folder, 'editor.sh');
    writeFileSync(file, `#!/bin/sh\nset -e\n${script}\n`);
    chmodSync(file, 0o755);
    return { EDITOR: file, TMPDIR: controller.folder };
  };

  it('create, dry run, edit, enable and apply warn of what a VLAN ID does to other policies, with their names', async () => {
    const physical = { name: 'edges', sources: ['uplink-1'], destination: 'uplink-2', vlanId: 300 };
    const fabric = { name: 'fabric', sources: ['web-3/0'], destination: 'uplink-2', vlanId: 100, enabled: false };
    await controller.api('POST', '/policies', physical);
    const both = /POLICY_VLAN_MIRRORED \(vlanId\): policy "edges" does not mirror frames of VLAN 100 at "uplink-1"/;
    const create = ['create', 'x', '--source', 'db-1/0', '--destination', 'uplink-2', '--vlan-id'];
    const before = await names();
    assert.match((await policy(...create, '100', '--dry-run')).stderr, both);
    assert.deepEqual(await names(), before);
    const quiet = await policy(...create, '999');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
    assert.match((await policy('edit', 'x', '--vlan-id', '100')).stderr, both);
    const answer = await controller.api<Policy>('POST', '/policies?dryRun=true', fabric);
    assert.deepEqual(
      answer.warnings.map(({ code, field }) => [code, field]),
      [
        ['POLICY_VLAN_MIRRORED', 'vlanId'],
        ['POLICY_VLAN_SHARED', 'vlanId'],
      ],
    );
    assert.match(answer.warnings[1]!.message, /VLAN 100 is also the VLAN ID of policy "x"/);
    await controller.api('POST', '/policies', fabric);
    const enabled = await policy('enable', 'fabric');
    assert.equal(enabled.code, 0);
    assert.match(enabled.stderr, both);
    const input = JSON.stringify({ kind: 'Policy', ...fabric, name: 'applied', sources: ['ids-2/0'], enabled: true });
    for (const dryRun of [['--dry-run'], []]) {
      const { stderr } = await controller.run(['policy', 'apply', '-f', '-', ...dryRun], { input });
      assert.equal(stderr.match(/POLICY_VLAN_MIRRORED/g)?.length, 1, stderr);
    }
  });

  it('create takes every field, and prints the object that the API gives', async () => {
    const args = ['--source', 'web-3/0,db-1/0', '--destination', 'uplink-1', '--vlan-id', '201', '--percent', '12.5'];
    const more = ['--direction', 'inbound', '--description', 'for the audit', '--disabled'];
    const made = await controller.json<Policy>('policy', 'create', 'full', ...args, ...more);
    const { sources, destination, vlanId, percent, direction, description, enabled, type } = made;
    assert.deepEqual(
      { sources, destination, vlanId, percent, direction, description, enabled, type },
      {
        sources: ['web-3/0', 'db-1/0'],
        destination: 'uplink-1',
        vlanId: 201,
        percent: 12.5,
        direction: 'inbound',
        description: 'for the audit',
        enabled: false,
        type: 'virtual-to-physical',
      },
    );
    const { stdout } = await policy('list');
    assert.match(stdout, /^NAME +TYPE +SOURCES +DESTINATION +DIRECTION +PERCENT +VLAN ID +ENABLED$/m);
    assert.match(stdout, /^full +virtual-to-physical +2 +uplink-1 +inbound +12\.5 +201 +no$/m);
    assert.match(stdout, /^base +virtual +2 +ids-1\/0 +all +100 +- +yes$/m);
  });

  it('show prints what the API sends with its kind, as JSON and YAML, and fields for people', async () => {
    const sent = { kind: 'Policy', ...(await controller.api<Policy>('GET', '/policies/base')) };
    assert.deepEqual(await controller.json('policy', 'show', 'base'), sent);
    assert.deepEqual(parse((await policy('show', 'base', '-o', 'yaml')).stdout), sent);
    assert.match((await policy('show', 'base')).stdout, /^sources: +2\n {2}web-1\/0\n {2}web-2\/0$/m);
  });

  it('create is refused with every reason at once, and ends with 3', async () => {
    const { code, stdout, stderr } = await policy(
      'create',
      'Bad Name',
      '--source',
      'web-1/0',
      'nowhere',
      '--destination',
      'uplink-1',
    );
    assert.equal(code, 3);
    assert.equal(stdout, '');
    for (const reason of [
      /^refused: POLICY_NAME_INVALID \(name\): /m,
      /^refused: POLICY_SOURCE_IN_USE \(--source web-1\/0\): /m,
      /^refused: POLICY_SOURCE_NOT_FOUND \(--source nowhere\): /m,
      /^refused: POLICY_VLAN_REQUIRED \(--vlan-id\): .*give a --vlan-id from 1 to 4094/m,
    ]) {
      assert.match(stderr, reason);
    }
  });

  it('create in a dry run changes nothing', async () => {
    const { code, stdout } = await policy(
      'create',
      'later',
      '--source',
      'web-3/0',
      '--destination',
      'ids-1/0',
      '--dry-run',
    );
    assert.equal(code, 0);
    assert.equal(stdout, 'policy later would be created\n');
    assert.deepEqual(await names(), ['base']);
  });

  it('create of a name that exists ends with 5, show of one that does not with 4', async () => {
    const twice = await policy('create', 'base', '--source', 'web-3/0', '--destination', 'ids-1/0');
    assert.equal(twice.code, 5);
    assert.match(twice.stderr, /^conflict: ALREADY_EXISTS: /);
    const none = await policy('show', 'none');
    assert.equal(none.code, 4);
    assert.match(none.stderr, /^not found: NOT_FOUND: there is no policy "none"\n {2}list the resources/);
  });

  it('ends with 6 where the token is wrong', async () => {
    const { code, stderr } = await controller.run(['policy', 'list'], {
      env: { MIRRORPLANE_TOKEN_FILE: '', MIRRORPLANE_TOKEN: 'wrong' },
    });
    assert.equal(code, 6);
    assert.match(stderr, /UNAUTHENTICATED/);
  });

  it('disable and enable switch, and say so when there is nothing to do', async () => {
    assert.equal((await policy('disable', 'base', '--dry-run')).stdout, 'policy base would be disabled\n');
    assert.equal((await shown('base')).enabled, true);
    assert.equal((await policy('disable', 'base')).stdout, 'policy base disabled\n');
    assert.equal((await shown('base')).enabled, false);
    assert.equal((await policy('disable', 'base')).stdout, 'policy base unchanged\n');
    assert.equal((await policy('enable', 'base')).stdout, 'policy base enabled\n');
    assert.equal((await shown('base')).enabled, true);
  });

  it('delete takes several, goes on after one that is missing, and ends with its code', async () => {
    await policy('create', 'second', '--source', 'web-3/0', '--destination', 'ids-1/0');
    const dry = await policy('delete', 'base', 'second', '--dry-run');
    assert.equal(dry.stdout, 'policy base would be deleted\npolicy second would be deleted\n');
    assert.deepEqual(await names(), ['base', 'second']);
    const { code, stdout, stderr } = await policy('delete', 'base', 'none', 'second');
    assert.equal(code, 4);
    assert.equal(stdout, 'policy base deleted\npolicy second deleted\n');
    assert.match(stderr, /there is no policy "none"/);
    assert.deepEqual(await names(), []);
  });

  describe('edit', () => {
    it('with options changes those fields alone', async () => {
      const { stdout } = await policy(
        'edit',
        'base',
        '--percent',
        '25',
        '--add-source',
        'web-3/0',
        '--remove-source',
        'web-1/0',
      );
      assert.equal(stdout, 'policy base changed\n');
      const { percent, sources, destination } = await shown('base');
      assert.deepEqual(
        { percent, sources, destination },
        { percent: 25, sources: ['web-2/0', 'web-3/0'], destination: 'ids-1/0' },
      );
      assert.equal((await policy('edit', 'base', '--percent', '25')).stdout, 'policy base unchanged\n');
    });

    it('takes the VLAN ID away with "none" when the destination leaves the edge', async () => {
      assert.equal((await policy('edit', 'base', '--destination', 'uplink-1', '--vlan-id', '100')).code, 0);
      assert.equal((await shown('base')).vlanId, 100);
      const { code, stderr } = await policy('edit', 'base', '--destination', 'ids-2/0');
      assert.equal(code, 3);
      assert.match(stderr, /POLICY_VLAN_NOT_ALLOWED \(--vlan-id\): .*: give "--vlan-id none"$/m);
      assert.equal((await policy('edit', 'base', '--destination', 'ids-2/0', '--vlan-id', 'none')).code, 0);
      assert.equal((await shown('base')).vlanId, undefined);
    });

    it('in a dry run and when refused changes nothing', async () => {
      const before = await shown('base');
      assert.equal((await policy('edit', 'base', '--percent', '1', '--dry-run')).code, 0);
      const { code, stderr } = await policy('edit', 'base', '--percent', '12.345');
      assert.equal(code, 3);
      assert.match(stderr, /^refused: POLICY_PERCENT_INVALID \(--percent\): /);
      assert.equal((await policy('edit', 'base', '--remove-source', 'db-1/0')).code, 2);
      assert.deepEqual(await shown('base'), before);
    });

    it('without options opens the editor, and sends what was saved', async () => {
      const env = editor(`sed -i 's/^percent: 100$/percent: 40/' "$1"`);
      const { code, stdout, stderr } = await controller.run(['policy', 'edit', 'base'], { env });
      assert.equal(code, 0, stderr);
      assert.equal(stdout, 'policy base changed\n');
      assert.equal((await shown('base')).percent, 40);
    });

    it('does nothing where the text stays as it was, or the editor fails', async () => {
      const before = await shown('base');
      assert.equal(
        (await controller.run(['policy', 'edit', 'base'], { env: editor(':') })).stdout,
        'policy base unchanged\n',
      );
      const failed = await controller.run(['policy', 'edit', 'base'], { env: editor('exit 1') });
      assert.equal(failed.code, 2);
      assert.match(failed.stderr, /the editor .* ended with 1; nothing was changed/);
      assert.deepEqual(await shown('base'), before);
    });

    it('shows the reasons of a refusal and keeps the file', async () => {
      const env = editor(`sed -i 's/^percent: 100$/percent: 400/' "$1"`);
      const { code, stderr } = await controller.run(['policy', 'edit', 'base'], { env });
      assert.equal(code, 3);
      assert.match(stderr, /^refused: POLICY_PERCENT_INVALID \(percent\): /m);
      assert.match(readFileSync(keptFile(stderr), 'utf8'), /^percent: 400$/m);
    });

    it('ends with 5 and keeps the file where somebody else was faster', async () => {
      const env = editor(
        `${COMMAND} policy edit base --description faster\nsed -i 's/^percent: 100$/percent: 60/' "$1"`,
      );
      const { code, stderr } = await controller.run(['policy', 'edit', 'base'], { env });
      assert.equal(code, 5);
      assert.match(stderr, /^conflict: PRECONDITION_FAILED: /m);
      const { percent, description } = await shown('base');
      assert.deepEqual({ percent, description }, { percent: 100, description: 'faster' });
      const file = keptFile(stderr);
      assert.match(readFileSync(file, 'utf8'), /^percent: 60$/m);
      assert.equal((await policy('apply', '-f', file)).stdout, 'policy base changed\n');
      assert.equal((await shown('base')).percent, 60);
    });
  });

  describe('status', () => {
    it('says why a policy is not active, in words and by exit code', async () => {
      const { code, stdout } = await policy('status', 'base');
      assert.equal(code, 0);
      assert.match(stdout, /^policy base \(virtual\): (waiting|failed)$/m);
      assert.match(stdout, /^ {2}DESTINATION_ABSENT/m);
      assert.match(stdout, /^matched +unknown +unknown$/m);
      assert.match(stdout, /^web-1\/0 +waiting +no device now/m);
      assert.equal((await policy('status', 'base', '--exit-code')).code, 10);
    });

    it('prints what the API sends', async () => {
      const status = await controller.json<PolicyStatus>('policy', 'status', 'base');
      assert.deepEqual(status, await controller.api('GET', '/policies/base/status'));
      const { stdout } = await policy('status', '-o', 'json');
      assert.deepEqual(JSON.parse(stdout).items, [status]);
      assert.match((await policy('status')).stdout, /^base +virtual +waiting( +\S+){6} +.*DESTINATION_ABSENT/m);
    });

    it('with --watch prints a document for each change, and ends after --count readings', async () => {
      const { code, stdout } = await policy('status', 'base', '--watch', '--count', '2', '-o', 'yaml');
      assert.equal(code, 0);
      const documents = parseAllDocuments(stdout);
      assert.ok(Array.isArray(documents) && documents.length >= 1);
      assert.equal(documents[0]!.toJS().name, 'base');
    });

    it('ends with 4 for a policy that does not exist', async () => {
      assert.equal((await policy('status', 'none')).code, 4);
      assert.equal((await policy('show', 'status')).code, 4);
    });
  });

  function keptFile(stderr: string): string {
    const file = /your text is kept in (\S+\.yaml);/.exec(stderr)?.[1];
    assert.ok(file && existsSync(file), stderr);
    return file;
  }
});
