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
export type AuditEntry = Schemas['AuditEntry'];
export type Event = Schemas['Event'];
export type Count = Schemas['Count'];
export type CaptureCounts = Schemas['CaptureCounts'];
export type TrafficDirection = Schemas['TrafficDirection'];
export type PolicySummary = Schemas['PolicySummary'];
export type PolicySource = Schemas['PolicySource'];
export type InterfaceSummary = Schemas['InterfaceSummary'];
export type NodeSummary = Schemas['NodeSummary'];
export type DestinationSummary = Schemas['DestinationSummary'];
export type PolicyPath = Schemas['PolicyPath'];
export type History = Schemas['History'];
export type Forecast = Schemas['Forecast'];
export type NodeForecast = Schemas['NodeForecast'];
export type InterfaceTraffic = Schemas['InterfaceTraffic'];
export type Viewer = Schemas['Viewer'];
export type PolicyTest = Schemas['PolicyTest'];
export type PolicyTestRow = Schemas['PolicyTestRow'];
export type ProbeOutcome = Schemas['ProbeOutcome'];
export type Finding = Schemas['Finding'];
export type FindingAnswer = Schemas['FindingAnswer'];
export type FindingConversation = Schemas['FindingConversation'];
export type FindingPacket = Schemas['FindingPacket'];
export type NodeState = Schemas['NodeState'];

/** Why something is as it is, and what to do about it. */
export type Reason = Pick<Schemas['StatusReason'], 'code' | 'message' | 'interface' | 'node'> & { remedy?: string };
