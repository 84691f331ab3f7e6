/** Lists of VLAN IDs as text. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatVlanList, parseVlanList, VlanListError } from '../src/vlans.ts';

describe('a list of VLAN IDs', () => {
  it('is read with single IDs, ranges and spaces, each ID once and in order', () => {
    assert.deepEqual(parseVlanList('200-203, 100,202'), [100, 200, 201, 202, 203]);
    assert.deepEqual(parseVlanList('1,4094'), [1, 4094]);
    assert.deepEqual(parseVlanList('7-7'), [7]);
  });

  for (const [text, message] of [
    ['', /"" is not a VLAN ID/],
    ['100,', /"" is not a VLAN ID/],
    ['10-', /"10-" is not a VLAN ID/],
    ['ten', /"ten" is not/],
    ['-5', /"-5" is not/],
    ['0', /0 is out of range/],
    ['4095', /4095 is out of range/],
    ['1-99999999', /is not a VLAN ID/],
    ['20-10', /write 10-20/],
  ] as const) {
    it(`is refused as "${text}"`, () => {
      assert.throws(
        () => parseVlanList(text),
        (error) => error instanceof VlanListError && message.test(error.message),
      );
    });
  }

  it('is written with ranges from three IDs in a row', () => {
    assert.equal(formatVlanList([100, 101, 300, 200, 201, 202]), '100,101,200-202,300');
    assert.equal(formatVlanList([]), '');
  });

  it('is read again as it was written', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 4094 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(ids, (list) => {
        assert.deepEqual(
          parseVlanList(formatVlanList(list)),
          list.toSorted((a, b) => a - b),
        );
      }),
    );
  });
});
