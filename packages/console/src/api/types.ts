/** The names that pages use for the types of the API. */
import type { components } from './schema.d.ts';

type Schemas = components['schemas'];
export type Problem = Schemas['Problem'];
export type Refusal = Schemas['Refusal'];
export type Policy = Schemas['Policy'];
export type PolicySpec = Schemas['PolicySpec'];
export type PolicyStatus = Schemas['PolicyStatus'];
export type PolicyState = Schemas['PolicyState'];
export type PolicyType = Schemas['PolicyType'];
export type Interface = Schemas['Interface'];
export type InterfaceKind = Schemas['InterfaceKind'];
export type InterfaceSpec = Schemas['InterfaceSpec'];
export type Node = Schemas['Node'];
export type NodeToken = Schemas['NodeToken'];
export type Device = Schemas['Device'];
export type Pool = Schemas['Pool'];
export type Domain = Schemas['Domain'];
export type Event = Schemas['Event'];
export type Count = Schemas['Count'];
export type CaptureCounts = Schemas['CaptureCounts'];
export type TrafficDirection = Schemas['TrafficDirection'];

/** Why something is as it is, with what to do about it. */
export interface Reason {
  code: string;
  message: string;
  remedy?: string;
  interface?: string;
  node?: string;
}

/** A rate of packets and what they carry. */
export interface Rate {
  packetsPerSecond: number;
  bitsPerSecond: number;
}

export interface PolicySummary {
  name: string;
  type: PolicyType;
  enabled: boolean;
  description: string;
  destination: { id: string; name: string };
  sourceCount: number;
  direction: TrafficDirection;
  percent: number;
  vlanId?: number;
  maxRate?: number;
  createdAt: string;
  updatedAt: string;
  createdBy?: string;
  revision: number;
  state: PolicyState;
  reasons: Reason[];
  pending: string[];
  health: { state: 'ok' | 'losing' | 'throttled' | 'unknown' | 'idle'; reasons: Reason[] };
  rates: { copied: Rate | null; dropped: number | null; lost: number | null };
  sparkline: (number | null)[];
}

export interface InterfaceSummary {
  id: string;
  name: string;
  kind: InterfaceKind;
  node?: string;
  device?: string;
  mac?: string;
  mtu?: number;
  network?: string;
  pool?: string;
  state: string;
  mirrorable: { source: { ok: boolean; reason?: string }; destination: { ok: boolean; reason?: string } };
  policy?: string;
  destinationOf: string[];
  allowedVlans?: number[];
  suggestedVlan?: number;
}

export interface DestinationSummary {
  id: string;
  name: string;
  kind: InterfaceKind;
  node?: string;
  policies: string[];
  delivered: Count | null;
  rates: { delivered: Rate | null };
}

export interface SourceRow {
  id: string;
  name: string;
  node?: string;
  device?: string;
  state: string;
  reasons: Reason[];
  inbound?: CaptureCounts;
  outbound?: CaptureCounts;
  rates: { copied: Rate | null };
}

export interface Viewer {
  policy: string;
  destination?: string;
  from?: string;
  until?: string;
  by?: string;
}
