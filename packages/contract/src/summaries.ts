/** What lists show of each resource: a few fields, however large the resource is. */
import * as z from 'zod';
import { CaptureCounts } from './counters.ts';
import { ErrorCode } from './errors.ts';
import { InterfaceTraffic } from './forecast.ts';
import { Rate, Rates, Sparkline, TrafficHealth } from './history.ts';
import { DeviceBudget, HookKind, InterfaceKind, ShownProblem, Underlay } from './inventory.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { PolicyType, TrafficDirection } from './policy.ts';
import { PolicyState, SourceState, StatusReason } from './status.ts';

/** A summary lists at most this many reasons, problems or names. */
export const MAX_SUMMARY_ITEMS = 8;

const listed = (what: string) => `${what}: the first ${MAX_SUMMARY_ITEMS}.`;

/** A policy, however many sources it has. */
export const PolicySummary = z
  .object({
    name: Name,
    uid: z.string(),
    type: PolicyType,
    enabled: z.boolean(),
    description: z.string(),
    destination: z.object({ id: InterfaceId, name: z.string().meta({ description: 'Display name.' }) }),
    sourceCount: z.number().int(),
    direction: TrafficDirection,
    percent: z.number(),
    vlanId: z.number().int().optional(),
    maxRate: z.number().optional(),
    endsAt: Timestamp.optional(),
    createdAt: Timestamp,
    createdBy: z.string().optional().meta({ description: 'Who created the policy, as the audit log names it.' }),
    updatedAt: Timestamp,
    revision: z.number().int(),
    state: PolicyState,
    reasons: z.array(StatusReason).meta({ description: listed('Why the policy is not active') }),
    waitsForConsent: z
      .boolean()
      .optional()
      .meta({ description: 'The policy, or a change of it, waits for consent. Absent: it does not.' }),
    reasonCount: z.number().int().meta({ description: 'Number of all reasons.' }),
    pending: z
      .array(Name)
      .meta({ description: listed('Nodes that have not applied the newest program, or are not connected') }),
    health: TrafficHealth,
    rates: Rates,
    sparkline: Sparkline,
  })
  .meta({ id: 'PolicySummary' });
export type PolicySummary = z.infer<typeof PolicySummary>;

/** One source of a policy. */
export const PolicySource = z
  .object({
    id: InterfaceId,
    name: z.string().meta({ description: 'Display name. Empty: not known.' }),
    kind: InterfaceKind.optional(),
    node: Name.optional().meta({ description: 'Node of the device that is captured. Absent: no device now.' }),
    device: z.string().optional(),
    state: SourceState,
    reasons: z.array(StatusReason).meta({ description: listed('What is wrong with the source') }),
    inbound: CaptureCounts.optional(),
    outbound: CaptureCounts.optional(),
    rate: Rate.meta({ description: 'Copies in a second, over the last five to ten seconds. Null: not known.' }),
  })
  .meta({ id: 'PolicySource' });
export type PolicySource = z.infer<typeof PolicySource>;

/** Whether an interface can have a part in a policy. `code` and `message` say why not. */
const Fitness = z.object({ ok: z.boolean(), code: ErrorCode.optional(), message: z.string().optional() });

/** `present`: it has a device. `migrating`: it has two. `down`: its device is down. `absent`: it has none. */
export const InterfaceState = z.enum(['present', 'migrating', 'down', 'absent']).meta({ id: 'InterfaceState' });
export type InterfaceState = z.infer<typeof InterfaceState>;

/** An interface, and what policies make of it. */
export const InterfaceSummary = z
  .object({
    id: InterfaceId,
    kind: InterfaceKind,
    name: z.string(),
    network: z.string().optional(),
    pool: Name.optional(),
    domain: Name.optional(),
    node: Name.optional().meta({ description: 'Node of the interface now, or the declared node of an edge.' }),
    device: z
      .object({ name: z.string(), mac: z.string(), mtu: z.number().int(), up: z.boolean() })
      .optional()
      .meta({ description: 'Device of the interface on that node. Absent: none.' }),
    state: InterfaceState,
    declared: z.boolean(),
    boundTo: Name.optional(),
    contested: z.array(Name).optional().meta({ description: 'Other nodes that claim the interface.' }),
    mirrorable: z
      .object({ source: Fitness, destination: Fitness })
      .meta({ description: 'Whether a new policy can have the interface as source, and as destination.' }),
    policy: Name.optional().meta({ description: 'The policy of which the interface is a source.' }),
    destinationOf: z.array(Name).meta({ description: listed('Policies of which it is the destination') }),
    destinationOfCount: z.number().int().meta({ description: 'Number of all of them.' }),
    vlans: z
      .object({
        allowed: z.array(z.number().int()).optional().meta({ description: 'As declared. Absent: not checked.' }),
        used: z.array(z.number().int()).meta({ description: 'VLAN IDs of the policies with this destination.' }),
        suggested: z.number().int().optional().meta({
          description: 'A VLAN ID that this edge carries and that no policy has. Absent: there is none.',
        }),
      })
      .optional()
      .meta({ description: 'Of an edge.' }),
    traffic: InterfaceTraffic.nullable().optional().meta({
      description: 'What it carries. Null: not known. Absent in the stream: it changes all the time.',
    }),
    revision: z.number().int(),
  })
  .meta({ id: 'InterfaceSummary' });
export type InterfaceSummary = z.infer<typeof InterfaceSummary>;

/** `ready`: connected, and it runs its newest program. `pending`: it does not yet. `disconnected`: its agent is not connected. */
export const NodeState = z.enum(['ready', 'pending', 'disconnected']).meta({ id: 'NodeState' });
export type NodeState = z.infer<typeof NodeState>;

/** A node, however many devices it has. */
export const NodeSummary = z
  .object({
    name: Name,
    pool: Name,
    domain: Name.optional(),
    state: NodeState,
    underlay: Underlay.optional(),
    agentVersion: z.string().optional(),
    kernel: z.string().optional(),
    hook: HookKind.optional(),
    lastSeenAt: Timestamp.optional(),
    certificateEndsAt: Timestamp.optional(),
    programRevision: z.number().int().optional(),
    appliedRevision: z.number().int().optional(),
    problems: z.array(ShownProblem).meta({ description: listed('What stands in the way on the node') }),
    problemCount: z.number().int(),
    deviceCount: z.number().int(),
    interfaceCount: z.number().int().meta({ description: 'Interfaces that are on the node now.' }),
    captureCount: z.number().int().meta({ description: 'Captures that the node reports.' }),
    rates: z
      .object({ copied: Rate, delivered: Rate, sent: Rate, arrived: Rate })
      .meta({ description: 'Copies that the node makes, delivers, sends to other nodes and gets from them.' }),
    budgets: z.array(DeviceBudget),
    endingCount: z.number().int().meta({
      description: 'Disabled and deleted policies for which the node may still copy.',
    }),
    revision: z.number().int(),
  })
  .meta({ id: 'NodeSummary' });
export type NodeSummary = z.infer<typeof NodeSummary>;
