/** Offload features of a device, held against ethtool. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { featureReader, HW_TC_OFFLOAD } from '../src/discovery/offload.ts';

/**
 * Features that have the kernel's own name in what ethtool prints; those it sums up under older
 * names are left out.
 */
function features(device: string): Map<string, boolean> {
  const lines = execFileSync('ethtool', ['-k', device], { encoding: 'utf8' }).split('\n');
  const found = lines.flatMap((line) => {
    const match = /^\t?((?:tx|rx|hw|tls|esp|l2|highdma|vlan|macsec|hsr|fcoe)[\w-]*): (on|off)/.exec(line);
    return match ? [[match[1]!, match[2] === 'on'] as const] : [];
  });
  return new Map(found.filter(([name]) => !SUMS.has(name)));
}
const SUMS = new Set(['rx-checksumming', 'tx-checksumming', 'rx-vlan-offload', 'tx-vlan-offload', 'tx-nocache-copy']);

test('every feature that ethtool shows of a device reads the same, on and off', () => {
  const all = readdirSync('/sys/class/net').map((device) => [device, features(device)] as const);
  const states = all.flatMap(([, found]) => [...found.values()]);
  assert.ok(states.includes(true) && states.includes(false), 'there are features of both states to compare');
  for (const [device, found] of all) {
    const read = [...found.keys()].map((feature) => [feature, featureReader(feature)(device)] as const);
    assert.deepEqual(new Map(read), found, device);
  }
});

test('a device that is not there, and a feature that no kernel has, are off', () => {
  assert.equal(featureReader(HW_TC_OFFLOAD)('nope0'), false);
  assert.equal(featureReader('no-such-feature')('lo'), false);
});
