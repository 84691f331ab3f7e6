/** `mirrorplane apply` of files with several documents. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Policy } from '@mirrorplane/contract';
import type { Outcome } from '../src/output/render.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

interface List {
  items: Policy[];
  revision: number;
}

describe('apply', () => {
  const controller = new Controller();
  before(() => controller.start());
  after(() => controller.close());
  const apply = (input: string, ...args: string[]) => controller.run(['apply', '-f', '-', ...args], { input });
  const policies = () => controller.json<List>('policy', 'list');

  it('in a dry run of a new cluster says what it would do and what it cannot check, and changes nothing', async () => {
    const { code, stdout } = await apply(CLUSTER, '--dry-run');
    assert.equal(code, 0);
    assert.match(stdout, /^domain blue would be created$/m);
    assert.match(stdout, /^pool rack-1 not checked: it needs Domain blue of the same file$/m);
    assert.deepEqual((await controller.json<List>('domain', 'list')).items, []);
  });

  it('creates a whole cluster in the order of what depends on what', async () => {
    const { code, stdout, stderr } = await apply(CLUSTER, '-o', 'json');
    assert.equal(code, 0, stderr);
    const outcomes = JSON.parse(stdout) as Outcome[];
    assert.equal(outcomes.length, 15);
    for (const { result, name } of outcomes) {
      assert.equal(result, 'created', name);
    }
    assert.equal((await controller.json<List>('interface', 'list')).items.length, 8);
  });

  it('a second time finds everything unchanged, and writes nothing', async () => {
    const { revision } = await policies();
    const { code, stdout } = await apply(CLUSTER);
    assert.equal(code, 0);
    assert.equal(stdout.trim().split('\n').length, 15);
    for (const line of stdout.trim().split('\n')) {
      assert.match(line, / unchanged$/);
    }
    assert.equal((await policies()).revision, revision);
  });

  it('creates, changes and leaves policies, and says which', async () => {
    const text = (percent: number) =>
      `{kind: Policy, name: one, sources: [web-1/0], destination: ids-1/0, percent: ${percent}}\n---\n` +
      '{kind: Policy, name: two, sources: [web-2/0], destination: uplink-1, vlanId: 100}\n';
    const first = await apply(text(100));
    assert.equal(first.stdout, 'policy one created\npolicy two created\n', first.stderr);
    const dry = await apply(text(50), '--dry-run');
    assert.equal(dry.stdout, 'policy one would be changed\npolicy two unchanged\n');
    assert.equal((await policies()).items[0]!.percent, 100);
    assert.equal((await apply(text(50))).stdout, 'policy one changed\npolicy two unchanged\n');
    assert.equal((await policies()).items[0]!.percent, 50);
  });

  it('takes again what list and show print of everything, as YAML and as JSON, and changes nothing', async () => {
    const { revision } = await policies();
    const printed: string[] = [];
    for (const args of [
      ...['domain', 'pool', 'node', 'interface', 'policy'].map((noun) => [noun, 'list']),
      ['domain', 'show', 'red'],
      ['pool', 'show', 'rack-9'],
      ['node', 'show', 'node-9'],
      ['interface', 'show', 'uplink-2'],
      ['policy', 'show', 'one'],
    ]) {
      for (const format of ['yaml', 'json']) {
        const { stdout } = await controller.run([...args, '-o', format]);
        const { code, stdout: said, stderr } = await apply(stdout);
        assert.equal(code, 0, `${args.join(' ')} -o ${format}: ${stderr}`);
        for (const line of said.trim().split('\n')) {
          assert.match(line, / unchanged$/);
        }
        if (args[1] === 'list' && format === 'yaml') {
          printed.push(stdout);
        }
      }
    }
    const all = await apply(printed.join('---\n'));
    assert.equal(all.code, 0, all.stderr);
    assert.equal(all.stdout.match(/ unchanged$/gm)?.length, 17, all.stdout);
    assert.equal((await policies()).revision, revision);
  });

  it('refuses a misspelt field in what show printed', async () => {
    const { stdout } = await controller.run(['node', 'show', 'node-9', '-o', 'yaml']);
    const { code, stderr } = await apply(`${stdout}conected: true\n`);
    assert.equal(code, 3);
    assert.match(stderr, /FIELD_UNKNOWN \(conected\)/);
  });

  it('takes again what policy and interface list print as YAML and as JSON, and changes nothing', async () => {
    for (const format of ['yaml', 'json']) {
      const { stdout: listed } = await controller.run(['policy', 'list', '-o', format]);
      const { code, stdout, stderr } = await controller.run(['policy', 'apply', '-f', '-'], { input: listed });
      assert.equal(code, 0, stderr);
      assert.equal(stdout, 'policy one unchanged\npolicy two unchanged\n');
      const interfaces = await controller.run(['interface', 'list', '-o', format]);
      const again = await apply(interfaces.stdout);
      assert.equal(again.code, 0, again.stderr);
      assert.equal(again.stdout.match(/ unchanged$/gm)?.length, 8);
    }
  });

  it('changes nothing where one document of several is refused, prints all refusals, and ends with 3', async () => {
    const { code, stdout, stderr } = await apply(
      '{kind: Policy, name: three, sources: [web-3/0], destination: ids-1/0}\n---\n' +
        '{kind: Policy, name: four, sources: [db-1/0], destination: ids-1/0, percent: 101, vlanId: 5}\n',
    );
    assert.equal(code, 3);
    assert.equal(stdout, '');
    assert.match(stderr, /^Policy four \(stdin, document 2\):$/m);
    assert.match(stderr, /^ {2}refused: POLICY_PERCENT_INVALID \(percent\): /m);
    assert.match(stderr, /^ {2}refused: POLICY_VLAN_NOT_ALLOWED \(vlanId\): /m);
    assert.match(stderr, /nothing was changed: 1 of 2 documents are refused/);
    assert.deepEqual(
      (await policies()).items.map(({ name }) => name),
      ['one', 'two'],
    );
  });

  it('refuses a source that two policies of the file claim, before anything is created', async () => {
    const { code, stderr } = await apply(
      '{kind: Policy, name: five, sources: [web-3/0], destination: ids-1/0}\n---\n' +
        '{kind: Policy, name: six, sources: [web-3/0], destination: ids-2/0}\n',
    );
    assert.equal(code, 3);
    assert.match(stderr, /POLICY_SOURCE_IN_USE \(sources\[0\]\): "web-3\/0" is a source of policy "five"/);
    assert.equal((await policies()).items.length, 2);
  });

  it('refuses a field that is not known, with the document and a suggestion', async () => {
    const { code, stderr } = await apply(
      '{kind: Policy, name: x, sources: [web-3/0], destination: ids-1/0, percnt: 5}',
    );
    assert.equal(code, 3);
    assert.match(stderr, /FIELD_UNKNOWN \(percnt\): .*percent/);
  });

  it('moves a source from one policy to another, whatever their order in the file', async () => {
    const { code, stdout, stderr } = await apply(
      '{kind: Policy, name: two, sources: [web-2/0, web-1/0], destination: uplink-1, vlanId: 100}\n---\n' +
        '{kind: Policy, name: one, sources: [web-3/0], destination: ids-1/0}\n',
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'policy one changed\npolicy two changed\n');
    assert.deepEqual(
      (await policies()).items.map(({ sources }) => sources),
      [['web-3/0'], ['web-2/0', 'web-1/0']],
    );
  });

  it('creates an interface together with the policy that uses it', async () => {
    const { code, stdout, stderr } = await apply(
      '{kind: Policy, name: seven, sources: [app-1/0], destination: ids-1/0}\n---\n' +
        '{kind: Interface, interfaceKind: vm, id: app-1/0, pool: rack-1}\n',
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'interface app-1/0 created\npolicy seven created\n');
  });

  it('stops where what could not be checked before is refused, and says what was done', async () => {
    const { code, stderr } = await apply(
      '{kind: Policy, name: eight, sources: [far-1/0], destination: ids-1/0}\n---\n' +
        '{kind: Interface, interfaceKind: vm, id: far-1/0, pool: rack-9}\n',
    );
    assert.equal(code, 3);
    assert.match(stderr, /^done before: Interface far-1\/0 created$/m);
    assert.match(stderr, /refused: POLICY_CROSS_DOMAIN/);
    assert.match(stderr, /stopped at Policy eight; 0 more not tried/);
  });
});
