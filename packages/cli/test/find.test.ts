/** `mirrorplane find`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Finding, NO_FINDING_COUNTS } from '@mirrorplane/contract';
import { findingText } from '../src/output/finding.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

const DROP = {
  at: 1_700_000_000_123_456,
  node: 'node-2',
  cause: 'rule' as const,
  reason: 'NETFILTER_DROP',
  function: 'nf_hook_slow',
  device: 'tap-db-1',
  packets: 1,
};
const FOUND: Finding = {
  id: 'f',
  from: 'web-1/0',
  to: 'db-1/0',
  words: '',
  seconds: 30,
  owner: 'admin',
  look: 'l',
  state: 'done',
  beganAt: '2026-01-31T12:00:00.000Z',
  seen: 900,
  answer: {
    cause: 'filtered',
    code: 'FINDING_FILTERED',
    message: '1 of 300 segments were dropped\u001b[2J',
    params: {},
    remedy: 'see the rules',
    way: 'there',
    there: NO_FINDING_COUNTS,
    back: NO_FINDING_COUNTS,
    conversations: [
      {
        protocol: 'tcp',
        from: { address: '10.0.0.1', port: 40_000 },
        to: { address: '2001:db8::2', port: 5432 },
        there: { ...NO_FINDING_COUNTS, sent: 300, arrived: 300, delivered: 299, lostBehind: 1, retransmissions: 1 },
        back: { ...NO_FINDING_COUNTS, sent: 150, arrived: 150, delivered: 150 },
        attempts: { all: 1, accepted: 1, refused: 0 },
      },
    ],
    conversationCount: 3,
    packets: Array.from({ length: 11 }, (_, i) => ({
      number: i,
      at: DROP.at,
      node: 'node-2',
      device: 'trunk0',
      place: 'arrived' as const,
      way: 'there' as const,
      protocol: 'tcp',
      source: { address: '10.0.0.1', port: 40_000 },
      target: { address: '10.0.0.2', port: 5432 },
      sequence: 7,
      length: 1514,
      packets: 1,
      what: 'lostBehind' as const,
      drop: DROP,
    })),
    packetCount: 11,
    drops: [{ way: 'there', packets: 1, first: DROP }],
    sentElsewhere: 0,
    lookLost: [],
  },
};

describe('find', () => {
  const controller = new Controller();

  before(async () => {
    await controller.start();
    assert.equal((await controller.run(['apply', '-f', '-'], { input: CLUSTER })).code, 0);
  });
  after(() => controller.close());

  it('shows the sentence, the conversations, the drops, and the first packets', () => {
    const text = findingText(FOUND, false);
    const [sentence, remedy] = text.split('\n');
    assert.equal(remedy, 'see the rules');
    assert.ok(sentence!.startsWith('1 of 300 segments were dropped') && !sentence!.includes('\u001b'));
    assert.match(text, /^tcp +10\.0\.0\.1:40000 +\[2001:db8::2\]:5432 +300 +300 +299 +1 +1 +0$/m);
    assert.match(text, /^tcp +\[2001:db8::2\]:5432 +10\.0\.0\.1:40000 +150 +150 +150 +0 +0 +0$/m);
    assert.match(text, /^and 2 more conversations$/m);
    assert.match(text, /^ +1 +db-1\/0 +node-2 +tap-db-1 +rule +NETFILTER_DROP +nf_hook_slow +22:13:20\.123$/m);
    assert.match(text, /^22:13:20\.123 +node-2 +arrived .* lostBehind: NETFILTER_DROP$/m);
    assert.match(text, /^and 1 more packets/m);
  });

  it('says that nothing can be seen where no node looks', async () => {
    const { code, stdout, stderr } = await controller.run(['find', 'web-1/0', 'db-1/0', '--for', '5s']);
    assert.deepEqual([code, stderr], [0, 'looking for 5 s at "web-1/0" and "db-1/0"\n']);
    assert.match(stdout, /^undetermined: not every place was looked at: "web-1\/0": it has no device now/);
  });

  it('is refused for what does not exist, for one interface twice, and for wrong words, with the field', async () => {
    const twice = await controller.run(['find', 'web-1/0', 'web-1/0']);
    assert.deepEqual([twice.code, /\(to\): it is the same interface/.test(twice.stderr)], [3, true], twice.stderr);
    const nobody = await controller.run(['find', 'web-1/0', 'nobody/0']);
    assert.deepEqual([nobody.code, /there is no interface "nobody\/0"/.test(nobody.stderr)], [3, true]);
    const words = await controller.run(['find', 'web-1/0', 'db-1/0', '--filter', 'port x']);
    assert.deepEqual([words.code, /\(words\): .*write a port/.test(words.stderr)], [3, true], words.stderr);
    const time = await controller.run(['find', 'web-1/0', 'db-1/0', '--for', '1h']);
    assert.deepEqual([time.code, /seconds/.test(time.stderr)], [3, true], time.stderr);
    assert.equal((await controller.run(['find', 'web-1/0', 'db-1/0', '--for', 'long'])).code, 2);
  });
});
