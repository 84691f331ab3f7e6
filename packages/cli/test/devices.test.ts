/** How `node show` and `interface show` explain devices that cannot be mirrored. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Device, Interface, Node } from '@mirrorplane/contract';
import { interfaceFields, interfaceTable, nodeFields } from '../src/output/inventory.ts';

const BRIDGE = 'is a bridge, which many guests share: use the tap or veth of the guest instead';
const base = { ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true };

function device(name: string, linkType: string, more: Partial<Device> = {}): Device {
  const identity = { kind: 'vm', id: `id-of-${name}`, name: '', provider: 'alias' } as const;
  return { ...base, name, linkType, identity, ...more };
}

function node(...devices: Device[]): Node {
  return { name: 'node-1', pool: 'east', connected: true, problems: [], ending: [], budgets: [], devices, revision: 1 };
}

describe('a node', () => {
  const lineOf = (text: string, name: string) => text.split('\n').find((line) => line.startsWith(name));

  it('shows why a device with identity cannot be mirrored, beside its interface', () => {
    const text = nodeFields(node(device('br0', 'bridge', { notMirrorable: { guest: BRIDGE, edge: BRIDGE } })), false);
    assert.ok(lineOf(text, 'br0')?.endsWith(`bridge  id-of-br0: ${BRIDGE}`), text);
  });

  it('shows nothing where a device cannot be what it is not', () => {
    const text = nodeFields(node(device('tap1', 'tun', { notMirrorable: { edge: 'is a tap' } })), false);
    assert.ok(lineOf(text, 'tap1')?.endsWith('tun   id-of-tap1'), text);
  });

  it('shows which packets of a device are not seen', () => {
    const text = nodeFields(node(device('eth0', '', { warning: 'has hw-tc-offload on' })), false);
    assert.ok(lineOf(text, 'eth0')?.endsWith('id-of-eth0: has hw-tc-offload on'), text);
  });
});

describe('the budgets of a node', () => {
  it('are shown with their device, where it has a limit and where it has none', () => {
    const budgets = [
      { device: 'eth1', bytesPerSecond: 12_500_000 },
      { device: 'eth2', bytesPerSecond: 0 },
    ];
    const text = nodeFields({ ...node(), budgets }, false);
    assert.match(text, /^copies: +12\.5 MB a second by eth1, /m);
    assert.match(text, /^copies: +no limit by eth2, /m);
  });
});

describe('an interface', () => {
  const one: Interface = {
    id: 'web-1/0',
    kind: 'vm',
    name: '',
    declared: false,
    devices: [{ ...base, node: 'node-1', name: 'br0', notMirrorable: BRIDGE }],
    revision: 1,
  };

  it('on a bridge says so in the list, and why in its own page', () => {
    assert.match(interfaceTable([one], false), /node-1:br0 \(not mirrorable\)/);
    assert.ok(interfaceFields(one, false).includes(`br0 on node-1 ${BRIDGE}`));
  });
});
