/** The records that the controller keeps in the store, under which keys, and the API resources made of them. */
import type {
  Device,
  Domain,
  EdgeDeclaration,
  EventDraft,
  HookKind,
  InterfaceKind,
  Policy,
  Pool,
  Underlay,
} from '@mirrorplane/contract';
import type { AuditEntry } from '../audit/audit.ts';

/** A policy without what follows from the store (revision) and from the moment (warnings). */
export type PolicyRecord = Omit<Policy, 'revision' | 'warnings'>;
export type DomainRecord = Omit<Domain, 'revision'>;
export type PoolRecord = Omit<Pool, 'revision'>;

export interface NodeRecord {
  name: string;
  pool: string;
  /** Stands in the agent's certificate, so that one of a deleted node of the same name is not accepted. */
  uid: string;
}

export interface InterfaceRecord {
  id: string;
  kind: InterfaceKind;
  name: string;
  network?: string | undefined;
  pool?: string | undefined;
  edge?: EdgeDeclaration | undefined;
  /** The only node whose claim is accepted, set by an operator. */
  boundTo?: string | undefined;
  declared: boolean;
  /** Of one that is not declared: the node where it is, or was last. */
  lastNode?: string | undefined;
  /** Of one that is not declared: since when it has no device, milliseconds since 1970. */
  goneAt?: number | undefined;
}

/** What an agent said last. Kept, so that a restart of the controller does not look like every device vanished. */
export interface NodeStateRecord {
  underlay?: Underlay | undefined;
  agentVersion?: string | undefined;
  kernel?: string | undefined;
  hook?: HookKind | undefined;
  lastSeenAt?: string | undefined;
  /** When the certificate of its agent ends, ISO 8601. */
  certificateEndsAt?: string | undefined;
  devices: Device[];
  /** Interface id to the order in which it was seen first on a node: the higher number is the newer device. */
  seen: Record<string, number>;
  /** Interface id to the order in which its guest was first seen running there, as far as it is. */
  running?: Record<string, number>;
  /**
   * Interface id to the order in which the node has claimed them, without a break since then: said that its guest is there or
   * may be. The lower number has the guest.
   */
  claimed?: Record<string, number>;
  /** Policies that the node copied for when it was heard last. */
  copying?: { uid: string; name: string }[];
  /** Interfaces that had a device there and have none now, the last ones. */
  former?: string[];
}

/** Digest and revision of the program that was planned last for a node. */
export interface ProgramRecord {
  digest: string;
  revision: number;
}

/** A join token that was handed out. The secret itself is not kept. */
export interface TokenRecord {
  node: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

/** Folder of the keys of each kind of record, each ending in a slash. */
export const FOLDERS = {
  policies: 'policies/',
  domains: 'domains/',
  pools: 'pools/',
  nodes: 'nodes/',
  interfaces: 'interfaces/',
  nodeStates: 'nodes-state/',
  programs: 'programs/',
  tokens: 'tokens/',
} as const;
export type Folder = keyof typeof FOLDERS;

/** Record type of each folder. */
export interface Records {
  policies: PolicyRecord;
  domains: DomainRecord;
  pools: PoolRecord;
  nodes: NodeRecord;
  interfaces: InterfaceRecord;
  nodeStates: NodeStateRecord;
  programs: ProgramRecord;
  tokens: TokenRecord;
}

/** ERSPAN sessions in use, node to policy uid to session. */
export const SESSIONS_KEY = 'sessions';
/** What the logs have to say of a decision. `revision` is left out for the decision that wrote it. */
export interface Unaudited {
  /** ISO 8601. */
  time: string;
  actor: string;
  address: string;
  action: AuditEntry['action'];
  resource: string;
  revision?: number;
  /** What the event log has to report of it. */
  events?: EventDraft[];
}
/** Value of GENERATION_KEY: decisions that were committed before their lines were known to be in the audit log and that of events. */
export type GenerationRecord = { unaudited: Unaudited[] } | null;
/** Written by every decision: two decisions that were made of the same state cannot both be committed. */
export const GENERATION_KEY = 'meta/generation';
