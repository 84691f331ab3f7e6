/** Numbers, rates and lists as they are shown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bitRate,
  byteAmount,
  clockTime,
  dateTime,
  number,
  packetRate,
  parseRanges,
  ranges,
} from '../src/text/format.ts';

test('rates have three digits and a prefix of a thousand', () => {
  assert.deepEqual([0, 999, 1000, 12_345, 310e6, 999_600].map(bitRate), [
    '0 bit/s',
    '999 bit/s',
    '1 kbit/s',
    '12.3 kbit/s',
    '310 Mbit/s',
    '1 Mbit/s',
  ]);
  assert.deepEqual([12, 2500].map(packetRate), ['12/s', '2.5 k/s']);
  assert.equal(byteAmount(1.52e9), '1.52 GB');
  assert.equal(number(4100), '4,100');
});

test('times are those of UTC, and say so', () => {
  assert.equal(dateTime('2026-01-31T12:00:03.000Z'), '2026-01-31 12:00:03 UTC');
  assert.equal(clockTime(Date.parse('2026-01-31T12:00:03.000Z')), '12:00:03');
  assert.equal(dateTime('never'), 'never');
});

test('VLAN IDs are written and read as a switch has them', () => {
  assert.equal(ranges([300, 100, 200, 201, 202]), '100, 200-202, 300');
  assert.deepEqual(parseRanges('100, 200-202,300'), [100, 200, 201, 202, 300]);
  for (const wrong of ['0', '4095', '200-100', 'a', '1,,2', '']) {
    assert.equal(parseRanges(wrong), undefined, wrong);
  }
});
