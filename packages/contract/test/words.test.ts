/**
 * Capture words: what they compare, in which order, and what is said of words that are none.
 * tcpdump is the judge elsewhere.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileWords, LOOK_LIMITS, WordsError } from '../src/index.ts';

/**
 * What the words say of a packet for which just the comparisons of these kinds and numbers are
 * true.
 */
function asks(text: string, isTrue: (name: string) => boolean): boolean {
  const { first, comparisons } = compileWords(text);
  let at = first;
  while (typeof at === 'number') {
    const { test, yes, no } = comparisons[at]!;
    const next = isTrue(`${test.kind} ${'number' in test ? test.number : ''}`.trim()) ? yes : no;
    assert.ok(typeof next === 'boolean' || next > at, 'each comparison leads to a later one');
    at = next;
  }
  return at;
}

/** `port 1` to `port 3` are true in all combinations. */
function table(text: string): string {
  return Array.from({ length: 8 }, (_, bits) =>
    asks(text, (name) => Boolean((bits >> (Number(name.slice(5)) - 1)) & 1)) ? 1 : 0,
  ).join('');
}

for (const [text, rows] of [
  ['port 1 and port 2', '00010001'],
  ['port 1 or port 2', '01110111'],
  ['not port 1', '10101010'],
  ['port 1 or port 2 and port 3', '00000111'], // from left to right, as in pcap-filter(7)
  ['port 1 or (port 2 and port 3)', '01010111'],
  ['not port 1 and port 2', '00100010'],
  ['not (port 1 and port 2)', '11101110'],
  ['!(port 1||!port 2)&&port 3', '00000010'],
] as const) {
  test(`"${text}" is true for the packets that it asks for`, () => {
    assert.equal(table(text), rows);
  });
}

test('no words ask for every packet', () => {
  assert.deepEqual(compileWords('  '), { first: true, comparisons: [] });
});

test('an IPv6 network is 16 bytes, of which the mask leaves some', () => {
  const [first] = compileWords('dst net 2001:db8:10::/44').comparisons;
  const net = first!.test as unknown as Record<'address' | 'mask', Uint8Array>;
  assert.equal(Buffer.from(net.address).toString('hex'), `20010db80010${'00'.repeat(10)}`);
  assert.equal(Buffer.from(net.mask).toString('hex'), `fffffffffff0${'00'.repeat(10)}`);
});

for (const [text, position, message] of [
  ['tcp prot 80', 4, /^"prot" at character 5 cannot stand there: write "and" or "or" before it/],
  ['host web-1', 5, /"web-1" at character 6.*write an IPv4 or IPv6 address here/],
  ['10.0.0.1', 0, /write "host 10\.0\.0\.1"/],
  ['net 10.0.0.1/8', 4, /10\.0\.0\.1 has bits behind the first 8/],
  ['net 10.0.0.0', 4, /write a network here, as 10\.0\.0\.0\/8/],
  ['net 10.0.0.0/33', 4, /write a prefix length from 0 to 32/],
  ['port 65536', 5, /write a port from 0 to 65535/],
  ['port http', 5, /write a port from 0 to 65535/],
  ['vlan 4096', 5, /write a VLAN ID from 0 to 4095/],
  ['tcp src host 10.0.0.1', 8, /write "port" and a number here/],
  ['src tcp', 4, /write "host", "net" or "port" here/],
  ['(tcp or udp', 11, /the words end too early: write "\)" here/],
  ['tcp)', 3, /no bracket is open here/],
  ['tcp and', 7, /the words end too early: write one of host, net/],
  ['constructor', 0, /write one of host, net/],
  ['tcp & udp', 4, /write "and" or "or" before it/],
  [Array(33).fill('tcp').join(' or '), 0, /come to 33 comparisons; at most 32/],
  ['('.repeat(600), 0, /have 600 characters; at most 512/],
] as const) {
  test(`refuses "${text.slice(0, 40)}" with the word, its place and what to write`, () => {
    assert.throws(
      () => compileWords(text),
      (error: unknown) => error instanceof WordsError && error.position === position && message.test(error.message),
    );
  });
}

test('takes as many comparisons as a look has', () => {
  const most = Array(LOOK_LIMITS.comparisons).fill('tcp').join(' or ');
  assert.equal(compileWords(most).comparisons.length, LOOK_LIMITS.comparisons);
});
