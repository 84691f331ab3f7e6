/** The scenarios of the demo: one policy of each type, with its traffic. */
import type { PolicyInput, PolicyType } from '@mirrorplane/contract';

/** A place where packets can be counted: a device of a host of the lab. */
export interface Tap {
  host: string;
  device: string;
  /** pcap filter that matches only the traffic of the scenario. */
  filter: string;
}

/** A policy, its traffic, and the places where packets are counted. */
export interface Scenario {
  policy: PolicyInput;
  type: PolicyType;
  /** Host that pings, and the address that it pings. */
  from: string;
  to: string;
  /** The wire of the source. */
  source: Tap;
  /** The wire of the destination. */
  destination: Tap;
}

/**
 * One scenario for each policy type. Scenarios share no host, so every packet belongs to one
 * policy.
 */
export const SCENARIOS: Scenario[] = [
  {
    policy: { name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0' },
    type: 'virtual',
    from: 'web-1',
    to: 'app-1',
    source: { host: 'web-1', device: 'eth0', filter: 'icmp' },
    destination: { host: 'ids-1', device: 'eth0', filter: 'icmp and host 10.0.0.1' },
  },
  {
    policy: { name: 'retain-db', sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 },
    type: 'virtual-to-physical',
    from: 'db-1',
    to: 'fw-1',
    source: { host: 'db-1', device: 'eth0', filter: 'icmp' },
    destination: { host: 'mon-sw', device: 'eth0', filter: 'icmp and host 10.0.0.3' },
  },
  {
    policy: { name: 'audit-branch', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 },
    type: 'physical',
    from: 'pgw-3',
    to: 'phys-2',
    source: { host: 'node-3', device: 'edge0', filter: 'icmp' },
    destination: { host: 'mon-200', device: 'eth0', filter: 'icmp and host 10.10.0.13' },
  },
];
