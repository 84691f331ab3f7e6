/** The records in the store, and their keys. */
import type {
  AccessSettings,
  AuditDraft,
  Device,
  Domain,
  EdgeDeclaration,
  EventDraft,
  Grant,
  HookKind,
  InterfaceKind,
  Policy,
  Pool,
  Underlay,
  UserSource,
} from '@mirrorplane/contract';

/** A policy without its revision, which the store has, and without warnings, which are computed. */
export type PolicyRecord = Omit<Policy, 'revision' | 'warnings'>;
export type DomainRecord = Omit<Domain, 'revision'>;
export type PoolRecord = Omit<Pool, 'revision'>;

export interface NodeRecord {
  name: string;
  pool: string;
  /**
   * The agent's certificate has it too, so that the certificate of a deleted node with the same
   * name is refused.
   */
  uid: string;
  /** An operator has cut it off. Ends when it enrols again. */
  revoked?: true;
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
  labels?: Readonly<Record<string, string>> | undefined;
  declared: boolean;
  /** For an undeclared interface: its current or last node. */
  lastNode?: string | undefined;
  /** For an undeclared interface: since when it has no device, milliseconds since 1970. */
  goneAt?: number | undefined;
}

/**
 * The last reports of an agent. They are stored, so that devices do not seem to be removed after a
 * restart of the controller.
 */
export interface NodeStateRecord {
  underlay?: Underlay | undefined;
  agentVersion?: string | undefined;
  kernel?: string | undefined;
  hook?: HookKind | undefined;
  lastSeenAt?: string | undefined;
  /** End of the agent's certificate, ISO 8601. */
  certificateEndsAt?: string | undefined;
  devices: Device[];
  /**
   * Interface id to the order in which it was first seen on a node. A higher number is a newer
   * device.
   */
  seen: Record<string, number>;
  /** Interface id to the order in which its guest was first seen running there, if it runs. */
  running?: Record<string, number>;
  /**
   * Interface id to the order of the node's claim. The node has claimed it without a break since
   * then: it reports that the guest is present or may be. The node with the lowest number has the
   * guest.
   */
  claimed?: Record<string, number>;
  /** Policies that the node copied for in its last report. */
  copying?: { uid: string; name: string }[];
  /** The last interfaces that had a device there and have none now. */
  former?: string[];
}

/** Digest and revision of the last planned program of a node. */
export interface ProgramRecord {
  digest: string;
  revision: number;
}

/** The newest certificate that a node is known to have. Older ones are refused. */
export interface CertificateRecord {
  /** Grows with each enrolment. */
  generation: number;
  /** Grows with each renewal, from 0. */
  number: number;
  /** The highest number that was signed. The agent may not have got it. */
  issued: number;
  /** Fingerprint of the authority that signed `number`. Empty: not known. */
  authority: string;
  /**
   * Id of the join token of a pool that let the node in: its host has it. Left out: there was none,
   * or it was ended since.
   */
  joinToken?: string;
  /** Fingerprint of the authority that signed `issued`. Left out: as `authority`. */
  issuedBy?: string;
  /**
   * The enrolment, until the certificate is renewed. An agent that repeats it with the same token and
   * key has not got the answer.
   */
  enrolment?: EnrolmentRecord;
}

/** What an agent has enrolled with. */
export interface EnrolmentRecord {
  /** SHA-256 of the secret of the join token, hexadecimal. */
  token: string;
  /** SHA-256 of the public key (SubjectPublicKeyInfo), hexadecimal. */
  key: string;
  /** Milliseconds since 1970. */
  at: number;
}

/**
 * A join token that was issued, for a node or for a resource pool. The secret itself is not stored.
 * A record of an older controller has only a node and an end.
 */
export interface TokenRecord {
  node?: string | undefined;
  pool?: string | undefined;
  /** Milliseconds since 1970. */
  expiresAt: number;
  /** How often it can still be used. Default 1. */
  uses?: number | undefined;
  /** Milliseconds since 1970. */
  createdAt?: number;
  /** Who asked for it. */
  createdBy?: string | undefined;
  /** What it ends with: the person, or the API token that asked for it. */
  maker?: { user: string; stamp: string } | { token: string };
  /** Of the authority that it names. */
  fingerprint?: string;
}

/** A person. Whoever may read the store can sign in as nobody: it has hashes, but see `totp`. */
export interface UserRecord {
  name: string;
  displayName?: string | undefined;
  source: UserSource;
  /** Of a user of another system: what stays the same there when the person is renamed. */
  subject?: string | undefined;
  /** Of a local user, see `argon2.ts`. Absent: cannot sign in with a password. */
  passwordHash?: string | undefined;
  mustChangePassword?: boolean | undefined;
  /** Secret of the authenticator app, base32. It has to be known to check a code. */
  totp?: { secret: string } | undefined;
  /** Digests of recovery codes that are left. */
  recoveryCodes?: string[] | undefined;
  grants: readonly Grant[];
  disabled: boolean;
  /** Random. Another one ends all sessions and tokens of the user. */
  stamp: string;
  /** ISO 8601. */
  createdAt: string;
  createdBy: string;
}

/** When and from where a user has signed in. */
export interface SignInRecord {
  /** ISO 8601. */
  at: string;
  /** As `originOf` has them, the newest first. */
  origins: string[];
  /** Time step of the last code of an authenticator app: it and older ones are not good any more. */
  totpStep: number;
}

/** A token of the API, by the digest of its secret. */
export interface ApiTokenRecord {
  name: string;
  source: 'api' | 'login';
  /** A user, with the stamp of that time; or a token in a file. */
  maker: { user: string; stamp: string } | { file: string };
  grants: readonly Grant[];
  /** ISO 8601. */
  createdAt: string;
  /** Address, and for a login the host name, that it was made from. */
  from: string;
  /** ISO 8601. Absent: never. */
  expiresAt?: string | undefined;
}

/** A token in a file that was revoked: it is not made again. */
export interface RevokedFileRecord {
  /** ISO 8601. */
  at: string;
  by: string;
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
  certificates: 'certificates/',
  tokens: 'tokens/',
  settings: 'settings/',
  users: 'users/',
  signIns: 'signIns/',
  apiTokens: 'apiTokens/',
  tokenUses: 'tokenUses/',
  revokedFiles: 'revokedFiles/',
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
  /** By name of the node. */
  certificates: CertificateRecord;
  tokens: TokenRecord;
  settings: AccessSettings;
  users: UserRecord;
  signIns: SignInRecord;
  apiTokens: ApiTokenRecord;
  /** By the digest of an API token: when it was used, ISO 8601. */
  tokenUses: string;
  revokedFiles: RevokedFileRecord;
}

/** Key of the ERSPAN sessions: node to policy uid to session. */
export const SESSIONS_KEY = 'sessions';
/**
 * Key of the number of times that a host was cut off which may know secrets of copies: a node that
 * was revoked, deleted, or enrolled again.
 */
export const CUT_OFFS_KEY = 'cutOffs';
/** Log entries of a decision. `revision` is left out for the decision that wrote the record. */
export interface Unaudited extends Omit<AuditDraft, 'outcome'> {
  /** ISO 8601. */
  time: string;
  /** Events for the event log. */
  events?: EventDraft[];
}
/**
 * Value of GENERATION_KEY: committed decisions whose entries may not be in the audit log and the
 * event log yet.
 */
export type GenerationRecord = { unaudited: Unaudited[] } | null;
/**
 * Every decision writes this key, so that two decisions from the same state cannot both be
 * committed.
 */
export const GENERATION_KEY = 'meta/generation';
/**
 * Present while the store gets contents of another one, or of a backup: true. Or the store goes on
 * elsewhere, and this says where (`Away`).
 */
export const FILLING_KEY = 'meta/filling';
/** The newest signed checkpoint of the audit log, as its line is there. */
export const AUDIT_HEAD_KEY = 'meta/audit';
