/** The physical side of the standard lab: edge NICs, the switch and the hosts at it. */
import { labMac, MAC_GROUP } from './mac.ts';
import type { LabEdge, LabSwitch } from './topology.ts';

/** VLAN of the physical business network, with the gateways and the physical hosts. */
export const BUSINESS_VLAN = 10;

function edge(node: number, k: number, allowedVlans: number[], business: boolean): LabEdge {
  return {
    node: `node-${node}`,
    device: `edge${k}`,
    mac: labMac(MAC_GROUP.edge, node * 16 + k),
    switchPort: `node-${node}-edge${k}`,
    allowedVlans,
    nativeVlan: business ? BUSINESS_VLAN : null,
    declare: business ? { id: `edge-${node}`, name: `edge of node-${node}` } : null,
    gateway: business
      ? {
          name: `pgw-${node}`,
          mac: labMac(MAC_GROUP.physical, 100 + node),
          address: `10.10.0.${10 + node}`,
          device: `tap-pgw-${node}`,
        }
      : null,
  };
}

/**
 * Edge NICs: `edge0` on node-1 and node-3 with a gateway behind each, and a spare `edge1` on
 * node-1.
 */
export function defaultEdges(allowedVlans: number[]): LabEdge[] {
  return [edge(1, 0, allowedVlans, true), edge(1, 1, allowedVlans, false), edge(3, 0, allowedVlans, true)];
}

/**
 * The switch: monitoring hosts in VLAN 100 and VLAN 200, and two physical hosts in the business
 * VLAN.
 */
export function defaultSwitch(copyVlans: number[]): LabSwitch {
  return {
    hosts: [
      { name: 'mon-sw', vlan: 100, mac: labMac(MAC_GROUP.physical, 200), address: null },
      { name: 'mon-200', vlan: 200, mac: labMac(MAC_GROUP.physical, 201), address: null },
      { name: 'phys-1', vlan: BUSINESS_VLAN, mac: labMac(MAC_GROUP.physical, 1), address: '10.10.0.1' },
      { name: 'phys-2', vlan: BUSINESS_VLAN, mac: labMac(MAC_GROUP.physical, 2), address: '10.10.0.2' },
    ],
    floodVlans: copyVlans,
    protectEdges: true,
  };
}
