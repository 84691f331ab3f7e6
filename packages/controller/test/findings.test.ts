/**
 * What findings say of packets that are made up: the cause, the share, the place, or that it is not
 * known.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { FindingAnswer } from '@mirrorplane/contract';
import { attemptsOf } from '../src/findings/handshakes.ts';
import { talksOf } from '../src/findings/talks.ts';
import { arpFrame, pingFrame, tcpFrame, udpFrame, unreachableFrame } from './findings/frames.ts';
import { DB, type Fate, WEB, World } from './findings/world.ts';

const RULE = (node: string) => ({ node, cause: 'rule' as const, reason: 'NETFILTER_DROP' });
const PORTS = { sourcePort: 40_000, targetPort: 5432 };
const BACK = { sourcePort: 5432, targetPort: 40_000 };

/** The connection begins, and `count` segments with 100 bytes go there, each acknowledged. */
function stream(world: World, count: number, fateOf: (i: number) => Fate | undefined = () => undefined): void {
  world.send('there', tcpFrame(WEB, DB, { ...PORTS, sequence: 99, flags: 'S' }));
  world.send('back', tcpFrame(DB, WEB, { ...BACK, sequence: 499, acknowledged: 100, flags: 'SA' }));
  for (let i = 0; i < count; i++) {
    const segment = { ...PORTS, sequence: 100 + i * 100, acknowledged: 500, data: 100 };
    const fate = fateOf(i);
    world.send('there', tcpFrame(WEB, DB, segment, i), fate);
    if (fate !== undefined) {
      world.send('there', tcpFrame(WEB, DB, segment, i + 10_000));
    }
    world.send('back', tcpFrame(DB, WEB, { ...BACK, sequence: 500, acknowledged: 200 + i * 100 }, i));
  }
}

function said({ cause, undetermined, way, node }: FindingAnswer): unknown[] {
  return [cause, undetermined, way, node];
}

test('says that nothing was lost', () => {
  const world = new World();
  stream(world, 50);
  const answer = world.answer();
  assert.deepEqual(said(answer), ['nothingLost', undefined, undefined, undefined]);
  assert.equal(
    answer.message,
    'nothing was lost between "web-1/0" and "db-1/0" in 30 s: all 51 packets there and 51 packets back were delivered',
  );
  assert.equal(answer.conversations[0]!.attempts.accepted, 1);
});

test('names the node, the rule, the share and the other direction', () => {
  const world = new World();
  stream(world, 300, (i) => (i % 20 === 7 ? { last: 'arrived', drop: RULE('node-2') } : undefined));
  const answer = world.answer();
  assert.deepEqual(said(answer), ['filtered', undefined, 'there', 'node-2']);
  assert.match(
    answer.message,
    /^15 of 316 segments from "web-1\/0" to "db-1\/0" \(TCP 5432\) were dropped on node "node-2" by a rule of its firewall \(NETFILTER_DROP\) at "br0" since \d\d:\d\d:\d\d UTC; the other direction lost none of 301$/,
  );
  assert.deepEqual([answer.there.lostBefore, answer.there.lostBehind, answer.there.retransmissions], [0, 15, 15]);
  assert.equal(answer.packetCount, 15);
  assert.ok(answer.packets.every(({ what, drop }) => what === 'lostBehind' && drop?.reason === 'NETFILTER_DROP'));
});

test('finds a rule of the sending node, before anything arrives', () => {
  const world = new World();
  stream(world, 100, (i) => (i % 10 === 3 ? { last: 'sent', drop: RULE('node-1') } : undefined));
  assert.deepEqual(said(world.answer()), ['filtered', undefined, 'there', 'node-1']);
});

test('finds loss of the way back too', () => {
  const world = new World();
  stream(world, 40);
  for (let i = 0; i < 5; i++) {
    world.send('back', udpFrame(DB, WEB, [53, 50_000], 60, i), { last: 'arrived', drop: RULE('node-1') });
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['filtered', undefined, 'back', 'node-1']);
  assert.match(answer.message, /^5 of 5 packets from "db-1\/0" to "web-1\/0" \(UDP 53\)/);
});

test('says between which nodes packets are lost, and no cause that nobody has told', () => {
  const world = new World();
  stream(world, 100, (i) => (i % 10 === 3 ? { last: 'sent' } : undefined));
  const answer = world.answer();
  assert.deepEqual(said(answer), ['lostBetweenNodes', undefined, 'there', 'node-1']);
  assert.match(
    answer.message,
    /left node "node-1" and never arrived at node "node-2".*neither node dropped them; the other/,
  );
});

test('says from which size on packets are lost', () => {
  const world = new World();
  for (let i = 0; i < 20; i++) {
    const isLong = i % 2 === 0;
    world.send('there', pingFrame(WEB, DB, i, { data: isLong ? 1472 : 56 }), isLong ? { last: 'sent' } : {});
    if (!isLong) {
      world.send('back', pingFrame(DB, WEB, i, { answer: true }));
    }
  }
  assert.match(world.answer().message, /all of 1514 bytes and more were lost, and all of up to 98 bytes arrived/);
});

test('does not blame the size where all that came later was lost', () => {
  const world = new World();
  for (let i = 0; i < 20; i++) {
    world.send('there', pingFrame(WEB, DB, i, { data: i < 10 ? 56 : 1472 }), i < 10 ? {} : { last: 'sent' });
  }
  assert.doesNotMatch(world.answer().message, /bytes and more/);
});

test('tells a shaper and a full ring at the device of the guest', () => {
  for (const [cause, expected] of [
    ['queue', 'shaped'],
    ['ring', 'ringFull'],
  ] as const) {
    const world = new World();
    stream(world, 100, (i) =>
      i % 5 === 0 ? { drop: { node: 'node-2', cause, device: 'tap-db-1', reason: 'X' } } : undefined,
    );
    const answer = world.answer();
    assert.deepEqual(said(answer), [expected, undefined, 'there', 'node-2']);
    assert.equal(answer.there.lostAtDevice, 20);
  }
});

test('does not take the normal end of a packet in the guest for loss', () => {
  const world = new World();
  stream(world, 50, (i) =>
    i === 7 ? { drop: { node: 'node-2', cause: 'unclear', device: 'tap-db-1', reason: '' } } : undefined,
  );
  assert.equal(world.answer().cause, 'nothingLost');
});

test('tells a port that the guest has closed from a reset in its name', () => {
  const closed = new World();
  const refused = new World();
  for (let i = 0; i < 5; i++) {
    const ports = { sourcePort: 41_000 + i, targetPort: 81 };
    const back = { sourcePort: 81, targetPort: 41_000 + i };
    const syn = tcpFrame(WEB, DB, { ...ports, sequence: 9, flags: 'S' }, i);
    const rst = tcpFrame(DB, WEB, { ...back, acknowledged: 10, flags: 'RA' }, 0);
    closed.send('there', syn);
    closed.send('back', rst);
    refused.send('there', syn, { last: 'arrived', drop: RULE('node-2') });
    refused.send('back', rst, { places: ['arrived', 'delivered'] });
  }
  assert.deepEqual(said(closed.answer()), ['portClosed', undefined, 'there', undefined]);
  assert.match(closed.answer().message, /^"db-1\/0" itself refused 5 of 5 connections from "web-1\/0" \(TCP 81\)/);
  assert.deepEqual(said(refused.answer()), ['resetByRule', undefined, 'there', 'node-2']);
  assert.match(refused.answer().message, /^node "node-2" refused in the name of "db-1\/0": 5 resets/);
});

test('knows the node that refuses from where its resets were seen', () => {
  const world = new World();
  const syn = tcpFrame(WEB, DB, { ...PORTS, sequence: 9, flags: 'S' });
  const rst = tcpFrame(DB, WEB, { ...BACK, acknowledged: 10, flags: 'RA' });
  world.send('there', syn, { last: 'sent' });
  world.send('back', rst, { places: ['delivered'] });
  assert.deepEqual(said(world.answer()), ['resetByRule', undefined, 'there', 'node-1']);
});

test('says that it is not known who has refused, where a reset came from the network', () => {
  const world = new World();
  world.send('there', tcpFrame(WEB, DB, { ...PORTS, sequence: 9, flags: 'S' }), { last: 'sent' });
  world.send('back', tcpFrame(DB, WEB, { ...BACK, acknowledged: 10, flags: 'RA' }), {
    places: ['arrived', 'delivered'],
  });
  const answer = world.answer();
  assert.deepEqual(said(answer), ['undetermined', 'refuserUnknown', 'there', undefined]);
  assert.match(answer.message, /^undetermined: 1 resets/);
});

test('tells a UDP port that the guest has closed', () => {
  const world = new World();
  for (let i = 0; i < 4; i++) {
    const frame = udpFrame(WEB, DB, [50_000, 99], 30, i);
    world.send('there', frame);
    world.send('back', unreachableFrame(DB, WEB, frame));
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['portClosed', undefined, 'there', undefined]);
  assert.match(answer.message, /itself refused 4 packets from "web-1\/0" \(UDP 99\)/);
});

test('says that a guest is silent that gets everything', () => {
  const world = new World();
  for (let i = 0; i < 5; i++) {
    world.send('there', pingFrame(WEB, DB, i));
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['guestSilent', undefined, 'there', undefined]);
  assert.match(answer.message, /^5 packets .* were delivered to "db-1\/0" \(ICMP\), which has sent nothing back$/);
});

test('asks no answer of UDP', () => {
  const world = new World();
  for (let i = 0; i < 5; i++) {
    world.send('there', udpFrame(WEB, DB, [50_000, 514], 30, i));
  }
  assert.equal(world.answer().cause, 'nothingLost');
});

test('says that nothing was sent', () => {
  const world = new World();
  world.send('there', udpFrame(WEB, { mac: '02:00:00:00:00:99', address: '10.0.0.99' }, [1, 2], 30), { last: 'sent' });
  const answer = world.answer();
  assert.deepEqual(said(answer), ['neverSent', undefined, undefined, undefined]);
  assert.match(
    answer.message,
    /^nothing was sent: "web-1\/0" has sent no packet to "db-1\/0" in 30 s, and 1 packets to others$/,
  );
});

test('says so where a guest only asks for an address', () => {
  const world = new World();
  for (let i = 0; i < 3; i++) {
    world.send('there', arpFrame(WEB, DB));
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['undetermined', 'addressUnknown', undefined, undefined]);
  assert.match(answer.message, /asked for the MAC address of 10\.0\.0\.2 and got no answer/);
});

test('is undetermined where the look is not whole, although a rule was heard', () => {
  const cases = [
    [
      { lookLost: [{ node: 'node-2', lost: 23, seen: 100 }] },
      'lookLost',
      /has not seen 23 of 100 packets on node "node-2"/,
    ],
    [
      { notSeen: [{ where: 'node-2', message: 'no hook' }] },
      'notSeen',
      /not every place was looked at: node-2: no hook/,
    ],
    [{ tooMany: true }, 'tooMany', /more than 100000 packets/],
    [{ moved: ['db-1/0'] }, 'moved', /while db-1\/0 moved to another node/],
    [
      { moved: ['db-1/0'], notSeen: [{ where: 'node-2', message: 'it did not look' }] },
      'moved',
      /^undetermined: db-1\/0 moved to another node meanwhile/,
    ],
  ] as const;
  for (const [around, reason, sentence] of cases) {
    const world = new World(around);
    stream(world, 50, (i) => (i === 7 ? { last: 'arrived', drop: RULE('node-2') } : undefined));
    const answer = world.answer();
    assert.deepEqual([answer.cause, answer.undetermined], ['undetermined', reason]);
    assert.match(answer.message, sentence);
  }
});

test('is undetermined where a kernel is silent, deaf, or tells of two causes', () => {
  const silent = new World();
  stream(silent, 50, (i) => (i === 7 ? { last: 'arrived' } : undefined));
  assert.deepEqual(said(silent.answer()), ['undetermined', 'kernelSilent', 'there', 'node-2']);
  const deaf = new World({ notHeard: [{ node: 'node-1', message: 'Linux 5.15' }] });
  stream(deaf, 50, (i) => (i === 7 ? { last: 'sent' } : undefined));
  assert.deepEqual(said(deaf.answer()), ['undetermined', 'notHeard', 'there', 'node-1']);
  assert.match(deaf.answer().message, /node "node-1" does not hear what its kernel drops: Linux 5\.15/);
  const mixed = new World();
  stream(mixed, 50, (i) =>
    i % 5 === 0
      ? { last: 'arrived', drop: i % 10 === 0 ? RULE('node-2') : { node: 'node-2', cause: 'queue' as const } }
      : undefined,
  );
  assert.deepEqual(said(mixed.answer()), ['undetermined', 'mixed', 'there', undefined]);
  assert.match(mixed.answer().message, /for more than one reason: 5 rule on node-2, 5 queue on node-2/);
});

test('says which function dropped, where a kernel gives no reason', () => {
  const world = new World();
  stream(world, 50, (i) =>
    i % 10 === 0 ? { last: 'arrived', drop: { node: 'node-2', cause: 'unclear' as const, reason: '' } } : undefined,
  );
  const answer = world.answer();
  assert.deepEqual(said(answer), ['undetermined', 'kernelSilent', 'there', 'node-2']);
  assert.match(answer.message, /whose kernel does not say why \(in nf_hook_slow\)/);
});

test('counts nothing at the edges of its time as lost', () => {
  const world = new World();
  stream(world, 30, (i) => (i < 3 || i > 27 ? { last: 'sent', uncounted: true } : undefined));
  assert.equal(world.answer().cause, 'nothingLost');
});

test('takes a flooded packet for delivered that was not seen arriving', () => {
  const world = new World();
  stream(world, 20, (i) => (i === 5 ? { places: ['sent', 'delivered'] } : undefined));
  assert.equal(world.answer().cause, 'nothingLost');
});

test('finds one segment of a super-packet that is many packets at the other end', () => {
  const world = new World();
  const whole = tcpFrame(WEB, DB, { ...PORTS, sequence: 1000, acknowledged: 1, data: 45 * 1448 });
  world.see('there', 'sent', whole, { gsoSize: 1448, packets: 45 });
  for (let i = 0; i < 45; i++) {
    const segment = tcpFrame(WEB, DB, { ...PORTS, sequence: 1000 + i * 1448, acknowledged: 1, data: 1448 }, i);
    world.send('there', segment, {
      places: i === 7 ? ['arrived'] : ['arrived', 'delivered'],
      ...(i === 7 && { drop: RULE('node-2') }),
    });
  }
  world.send('there', tcpFrame(WEB, DB, { ...PORTS, sequence: 1000 + 7 * 1448, acknowledged: 1, data: 1448 }, 99));
  world.send('back', tcpFrame(DB, WEB, { ...BACK, sequence: 1, acknowledged: 1000 + 45 * 1448 }));
  const answer = world.answer();
  assert.deepEqual(said(answer), ['filtered', undefined, 'there', 'node-2']);
  assert.match(answer.message, /^1 of 46 segments/);
  assert.equal(answer.there.retransmissions, 1);
});

test('finds segments of super-packets that a kernel has cut and dropped one by one', () => {
  const world = new World();
  const whole = tcpFrame(WEB, DB, { ...PORTS, sequence: 1000, acknowledged: 1, data: 10 * 1448 });
  for (const place of ['sent', 'arrived', 'delivered'] as const) {
    world.see('there', place, whole, { gsoSize: 1448, packets: 10 });
  }
  for (const i of [3, 4]) {
    const segment = tcpFrame(WEB, DB, { ...PORTS, sequence: 1000 + i * 1448, acknowledged: 1, data: 1448 }, i);
    world.drop(segment, { node: 'node-2', cause: 'queue', device: 'tap-db-1' });
  }
  world.send('back', tcpFrame(DB, WEB, { ...BACK, sequence: 1, acknowledged: 2000 }));
  const answer = world.answer();
  assert.deepEqual(said(answer), ['shaped', undefined, 'there', 'node-2']);
  assert.equal(answer.there.lostAtDevice, 2);
});

test('does not take a rule that drops before the device for a drop of what is sent again', () => {
  const world = new World();
  const rule = { ...RULE('node-2'), device: 'tap-db-1' };
  stream(world, 60, (i) => (i % 10 === 3 ? { last: 'arrived', drop: rule } : undefined));
  const { there } = world.answer();
  assert.deepEqual([there.lostBehind, there.lostAtDevice], [6, 0]);
});

test('finds loss of the way back where nothing was sent there', () => {
  const world = new World();
  for (let i = 0; i < 5; i++) {
    world.send('back', udpFrame(DB, WEB, [514, 50_000], 60, i), i < 2 ? { last: 'arrived', drop: RULE('node-1') } : {});
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['filtered', undefined, 'back', 'node-1']);
  assert.match(answer.message, /^2 of 5 packets from "db-1\/0" to "web-1\/0"/);
});

test('reads each drop once, and not once for each of the ports that were scanned', () => {
  const world = new World();
  for (let i = 0; i < 5000; i++) {
    const syn = tcpFrame(WEB, DB, { sourcePort: 41_000, targetPort: 1 + i, flags: 'S' }, i);
    world.send('there', syn, { last: 'arrived', drop: RULE('node-2') });
  }
  let reads = 0;
  const drops = world.drops.map(({ packet: _, bytes, ...drop }) => ({
    ...drop,
    get bytes() {
      reads++;
      return bytes!;
    },
  }));
  const talks = talksOf(world.conversations.sorted().conversations, drops);
  assert.equal(talks.length, 5000);
  assert.ok(talks.every(({ losses: [loss] }) => loss!.packets === 1 && loss!.drop!.cause === 'rule'));
  assert.ok(reads < 10 * drops.length, `${reads} reads of ${drops.length} drops`);
});

test('reads each SYN and each answer a few times, however many there are between two ports', () => {
  const world = new World();
  for (let i = 0; i < 4000; i++) {
    world.send('there', tcpFrame(WEB, DB, { ...PORTS, sequence: i * 1000, flags: 'S' }, i));
    world.send('back', tcpFrame(DB, WEB, { ...BACK, acknowledged: i * 1000 + 1, flags: 'SA' }, i));
  }
  const [conversation] = world.conversations.sorted().conversations;
  let reads = 0;
  for (const one of [...Object.values(conversation!.there), ...Object.values(conversation!.back)].flat()) {
    const { headers } = one;
    Object.defineProperty(one, 'headers', {
      get() {
        reads++;
        return headers;
      },
    });
  }
  const attempts = attemptsOf(conversation!);
  assert.equal(attempts.filter(({ answer, delivered }) => answer === 'accepted' && delivered).length, 4000);
  assert.ok(reads < 20 * 4000 * 6, `${reads} reads`);
});

test('says how much was lost where more was lost than a call takes as arguments', () => {
  const world = new World();
  const frame = udpFrame(WEB, DB, [50_000, 514], 30);
  for (let i = 0; i < 140_000; i++) {
    world.see('there', 'sent', frame);
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['lostBetweenNodes', undefined, 'there', 'node-1']);
  assert.deepEqual([answer.packetCount, answer.packets.length], [140_000, 200]);
});

test('tells drops of very many kinds apart by node and cause', () => {
  const world = new World();
  for (let i = 0; i < 100; i++) {
    const frame = udpFrame(WEB, DB, [50_000, 514], 30, i);
    world.send('there', frame, { last: 'arrived', drop: { ...RULE('node-2'), device: `veth${i}` } });
  }
  const answer = world.answer();
  assert.deepEqual(said(answer), ['filtered', undefined, 'there', 'node-2']);
  assert.deepEqual([answer.drops.length, answer.drops[0]!.packets], [1, 100]);
});
