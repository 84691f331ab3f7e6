/** Commands about domains, pools, nodes and interfaces. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Interface, parseJoinToken } from '@mirrorplane/contract';
import { Controller } from './controller.ts';

describe('the inventory', () => {
  const controller = new Controller();
  const cli = (text: string) => controller.run(text.split(' '));
  before(() => controller.start());
  after(() => controller.close());

  it('is declared from domain to interface, command by command', async () => {
    for (const [text, said] of [
      ['domain create blue --description first', 'domain blue created\n'],
      ['pool create rack-1 --domain blue --dry-run', 'pool rack-1 would be created\n'],
      ['pool create rack-1 --domain blue', 'pool rack-1 created\n'],
      ['node create node-1 --pool rack-1', 'node node-1 created\n'],
      [
        'interface declare up-1 --kind edge --node node-1 --device eth1 --allowed-vlans 100,200-202',
        'interface up-1 declared\n',
      ],
      ['interface declare fw-1/0 --kind nfv --pool rack-1 --network dmz', 'interface fw-1/0 declared\n'],
      ['interface declare web-1/0 --kind vm --pool rack-1', 'interface web-1/0 declared\n'],
    ] as const) {
      const { code, stdout, stderr } = await cli(text);
      assert.equal(code, 0, `${text}: ${stderr}`);
      assert.equal(stdout, said);
    }
    assert.match((await cli('domain list')).stdout, /^blue +first$/m);
    assert.match((await cli('pool list')).stdout, /^rack-1 +blue +plain$/m);
    assert.match((await cli('node list')).stdout, /^node-1 +rack-1 +no +unknown +unknown +0 /m);
    assert.match((await cli('interface list')).stdout, /^up-1 +edge +- +rack-1 +no device now +yes +100,200-202$/m);
    assert.match((await cli('interface show fw-1/0')).stdout, /^network: +dmz$/m);
    assert.match((await cli('node show node-1')).stdout, /^underlay: +unknown$/m);
    assert.match((await cli('pool show rack-1')).stdout, /^domain: +blue$/m);
    assert.match((await cli('pool create rack-1 --domain blue --underlay wireguard')).stdout, /^pool rack-1 changed$/m);
    assert.match((await cli('pool create rack-1 --domain blue')).stdout, /^pool rack-1 unchanged$/m);
    assert.match((await cli('pool show rack-1')).stdout, /^underlay: +wireguard$/m);
    assert.match((await cli('pool create rack-1 --domain blue --underlay plain')).stdout, /^pool rack-1 changed$/m);
    assert.equal((await cli('pool create rack-1 --domain blue --underlay tls')).code, 2);
    assert.match((await cli('domain show blue')).stdout, /^description: +first$/m);
  });

  it('is filtered by kind and pool', async () => {
    const ids = async (...args: string[]) =>
      (await controller.json<{ items: Interface[] }>('interface', 'list', ...args)).items.map(({ id }) => id);
    assert.deepEqual(await ids('--kind', 'nfv'), ['fw-1/0']);
    assert.deepEqual(await ids('--pool', 'rack-1'), ['fw-1/0', 'up-1', 'web-1/0']);
    assert.deepEqual(await ids('--kind', 'nfv', '--node', 'node-1'), []);
    for (const [option, said] of [
      ['--node', /not found: NOT_FOUND: there is no node "nope"/],
      ['--pool', /not found: NOT_FOUND: there is no pool "nope"/],
    ] as const) {
      const { code, stdout, stderr } = await controller.run(['interface', 'list', option, 'nope']);
      assert.deepEqual([code, stdout], [4, '']);
      assert.match(stderr, said);
    }
  });

  it('keeps what is not named where something is declared or created again', async () => {
    const done = async (command: string) => {
      const { code, stdout, stderr } = await cli(command);
      assert.equal(code, 0, `${command}: ${stderr}`);
      return stdout.trim();
    };
    const spec = async (id: string) => controller.json<Interface>('interface', 'show', id);
    await done('interface declare keep/0 --kind vm --pool rack-1 --network dmz --name web --label tenant=blue tier=a');
    await done('interface bind keep/0 --node node-1');
    assert.equal(await done('interface declare keep/0 --kind vm'), 'interface keep/0 unchanged');
    await done('interface declare keep/0 --kind vm --label tier=b');
    const { network, name, labels, pool, boundTo } = await spec('keep/0');
    assert.deepEqual([network, name, pool, boundTo], ['dmz', 'web', 'rack-1', 'node-1']);
    assert.deepEqual(labels, { tenant: 'blue', tier: 'b' });
    const edge = 'interface declare keep-edge --kind edge --node node-1 --device';
    await done(`${edge} eth7 --allowed-vlans 5-7 --label tenant=blue`);
    await done(`${edge} eth7 --name port`);
    const kept = await spec('keep-edge');
    assert.deepEqual([kept.name, kept.edge?.allowedVlans, kept.labels], ['port', [5, 6, 7], { tenant: 'blue' }]);
    await done(`${edge} eth8`);
    assert.equal((await spec('keep-edge')).edge?.allowedVlans, undefined, 'of another port');
    await done('interface declare keep-edge --kind vm');
    assert.deepEqual((await spec('keep-edge')).labels, { tenant: 'blue' }, 'also as another kind');
    assert.equal(await done('domain create blue'), 'domain blue unchanged');
    await done('interface delete keep/0 keep-edge');
  });

  it('changes an edge by declaring it again, from device name to MAC address', async () => {
    const { code, stderr } = await cli('interface declare up-1 --kind edge --node node-1 --mac 02-00-00-00-00-AA');
    assert.equal(code, 0, stderr);
    const { edge } = await controller.json<Interface>('interface', 'show', 'up-1');
    assert.deepEqual(edge, { node: 'node-1', mac: '02:00:00:00:00:aa' });
    assert.match((await cli('interface list')).stdout, /^up-1 .* not checked$/m);
  });

  it('refuses what names something that is not there, in words of the command', async () => {
    for (const [text, said] of [
      [
        'pool create rack-2 --domain dc-9',
        /"dc-9": create it first, for example with "mirrorplane domain create dc-9"/,
      ],
      ['node create node-2 --pool none', /"none": create it first, for example with "mirrorplane pool create none"/],
      ['interface declare a/0 --kind vm --pool none', /"mirrorplane pool create none"/],
      ['pool create Rack_2 --domain blue', /refused: /],
      [`domain create blue --description ${'x'.repeat(1025)}`, /"description": use at most 1024 characters/],
      ['events --kind polcyCreated', /"kind\[0\]": use .* or /],
    ] as const) {
      const { code, stderr } = await cli(text);
      assert.equal(code, 3, `${text}: ${stderr}`);
      assert.match(stderr, said);
      assert.doesNotMatch(stderr, /api\/v1|expected|Invalid|Too big/);
    }
  });

  it('refuses an edge on a node that does not exist', async () => {
    const { code, stderr } = await cli('interface declare up-2 --kind edge --node none --device eth1');
    assert.equal(code, 3);
    assert.match(stderr, /none/);
  });

  it('gives a join token for a node', async () => {
    const { code, stdout } = await cli('node token node-1');
    assert.equal(code, 0);
    assert.equal(stdout.split('\n').length, 2);
    assert.match(parseJoinToken(stdout).fingerprint, /^[0-9a-f]{64}$/);
    assert.equal((await cli('node token none')).code, 4);
  });

  it('gives a join token for a pool, lists tokens without their secrets, and revokes them', async () => {
    const made = await cli('node token --pool rack-1 --uses 5 --for 2h');
    assert.equal(made.code, 0, made.stderr);
    const { secret } = parseJoinToken(made.stdout);
    const listed = await cli('node tokens');
    const line = listed.stdout.split('\n').find((text) => text.includes('pool rack-1')) ?? '';
    assert.match(line, /^[0-9a-f]{12} +pool rack-1 +5 +20\d\d-/);
    assert.ok(!listed.stdout.includes(secret));
    const [id] = line.split(' ');
    const revoked = await cli(`node token revoke ${id}`);
    assert.deepEqual([revoked.code, revoked.stdout], [0, `join token ${id} revoked\n`]);
    assert.doesNotMatch((await cli('node tokens')).stdout, /pool rack-1/);
    assert.equal((await cli(`node token revoke ${id}`)).code, 4);
    for (const text of ['node token', 'node token node-1 --pool rack-1', 'node token --pool rack-1']) {
      const { code, stderr } = await cli(text);
      assert.equal(code, 2, text);
      assert.match(stderr, /--uses/);
    }
  });

  it('revokes a node, and says what has become of the authority', async () => {
    const revoked = await cli('node revoke node-1');
    assert.deepEqual([revoked.code, revoked.stdout], [0, 'node node-1 revoked\n']);
    assert.match((await cli('node show node-1')).stdout, /^problem: NODE_REVOKED: /m);
    assert.equal((await cli('node revoke none')).code, 4);
    assert.equal((await cli('authority drop')).code, 4);
    assert.match(
      (await cli('authority rotate')).stdout,
      /^old authority: +[0-9a-f]{64}\nnodes left: +0\njoin tokens left: +\d+\n/m,
    );
    assert.equal((await cli('authority drop --force')).code, 0);
    assert.doesNotMatch((await cli('authority status')).stdout, /old authority/);
  });

  it('binds an interface to a node and releases it, and leaves all else of it as it was', async () => {
    const show_ = () => controller.json<Interface>('interface', 'show', 'fw-1/0');
    const { revision: _, ...before } = await show_();
    for (const [text, said] of [
      ['interface bind fw-1/0 --node node-1 --dry-run', 'interface fw-1/0 would be bound to node-1\n'],
      ['interface release fw-1/0', 'interface fw-1/0 unchanged\n'],
      ['interface bind fw-1/0 --node node-1', 'interface fw-1/0 bound to node-1\n'],
    ] as const) {
      const { code, stdout, stderr } = await cli(text);
      assert.deepEqual([code, stdout], [0, said], `${text}: ${stderr}`);
    }
    assert.equal((await show_()).boundTo, 'node-1');
    assert.match((await cli('interface show fw-1/0')).stdout, /^bound to: +node-1$/m);
    const refused = await cli('interface bind fw-1/0 --node node-77');
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, /there is no node "node-77"/);
    assert.equal((await cli('interface release fw-1/0')).stdout, 'interface fw-1/0 released from node-1\n');
    const { revision: __, ...after } = await show_();
    assert.deepEqual(after, before);
  });

  it('deletes a node as dead where an operator says so', async () => {
    assert.equal((await cli('node create node-8 --pool rack-1')).code, 0);
    const { code, stderr } = await cli('node delete node-8 --dead');
    assert.equal(code, 0, stderr);
    const { stdout } = await cli('events --kind nodeDeclaredDead');
    assert.match(
      stdout,
      /nodeDeclaredDead +node\/node-8 +operator admin +declared dead, and deleted: it copied for no policy/,
    );
  });

  it('keeps what is in use, with 5, and deletes what is not', async () => {
    assert.equal((await cli('policy create p --source web-1/0 --destination fw-1/0')).code, 0);
    for (const text of ['domain delete blue', 'pool delete rack-1', 'interface delete fw-1/0']) {
      const { code, stderr } = await cli(text);
      assert.equal(code, 5, text);
      assert.match(stderr, /conflict: /);
    }
    for (const text of [
      'policy delete p',
      'interface delete fw-1/0 up-1 web-1/0',
      'node delete node-1',
      'pool delete rack-1',
      'domain delete blue',
    ]) {
      const { code, stderr } = await cli(text);
      assert.equal(code, 0, `${text}: ${stderr}`);
    }
    assert.deepEqual(await controller.json<{ items: unknown[] }>('interface', 'list').then(({ items }) => items), []);
  });
});
