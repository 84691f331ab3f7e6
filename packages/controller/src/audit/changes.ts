/** What a change did to a record, for the audit log: the changed fields, bounded, without secrets. Pure. */
import { type AuditEntry, MAX_AUDIT_CHANGES } from '@mirrorplane/contract';

/** The changed fields before and after. Absent: the record was made or deleted, or nothing changed. */
export type Changes = Pick<AuditEntry, 'before' | 'after'>;

/**
 * The fields of each folder of the store that the audit log may have. What is not named here never
 * gets into the log, so that a new field cannot bring a secret into it.
 */
export const AUDITED_FIELDS = {
  policies: [
    'description',
    'sources',
    'destination',
    'direction',
    'percent',
    'vlanId',
    'maxRate',
    'allowFeedback',
    'enabled',
    'type',
    'endsAt',
    'approval',
  ],
  domains: ['description'],
  pools: ['domain', 'description'],
  nodes: ['pool', 'revoked'],
  interfaces: ['kind', 'name', 'network', 'pool', 'labels', 'edge', 'boundTo', 'declared'],
  users: ['source', 'grants', 'disabled', 'mustChangePassword', 'displayName'],
  apiTokens: ['source', 'grants', 'expiresAt', 'from'],
  settings: ['fourEyes'],
} as const satisfies Record<string, readonly string[]>;
const FIELDS: Record<string, readonly string[]> = AUDITED_FIELDS;
/** Fields with ids of interfaces. Their names are added. */
const INTERFACES = new Set(['sources', 'destination']);

/** Names of a list that an entry has, and characters of a text. */
const MOST_NAMES = 16;
const MOST_CHARACTERS = 256;

/** A change of one record. Undefined: there is none before, or none after. */
export interface RecordChange {
  /** Name of the folder in the API and in the view: policies, users. */
  folder: string;
  before: object | undefined;
  after: object | undefined;
}

/**
 * The fields that differ. Fields of unknown folders are left out.
 * @param nameOf the name of an interface; empty: it has none besides its id
 */
export function changesOf({ folder, before, after }: RecordChange, nameOf: (id: string) => string = () => ''): Changes {
  const was: Record<string, unknown> = {};
  const is: Record<string, unknown> = {};
  for (const field of FIELDS[folder] ?? []) {
    const [old, now] = [fieldOf(before, field), fieldOf(after, field)];
    if (JSON.stringify(old) === JSON.stringify(now)) {
      continue;
    }
    const named = INTERFACES.has(field) ? (id: string) => withName(id, nameOf(id)) : cut;
    if (old !== undefined) {
      was[field] = shown(old, now, named, 'removed');
    }
    if (now !== undefined) {
      is[field] = shown(now, old, named, 'added');
    }
  }
  return { ...(before && { before: bounded(was) }), ...(after && { after: bounded(is) }) };
}

function fieldOf(record: object | undefined, field: string): unknown {
  return record && Object.hasOwn(record, field) ? Reflect.get(record, field) : undefined;
}

/** A value as the entry has it. A list of texts says what the other list has not. */
function shown(value: unknown, other: unknown, named: (text: string) => string, word: 'added' | 'removed'): unknown {
  if (isTexts(value)) {
    const others = new Set(isTexts(other) ? other : []);
    const only = value.filter((one) => !others.has(one));
    const difference = other === undefined ? {} : { [word]: only.length };
    return { count: value.length, ...difference, names: only.slice(0, MOST_NAMES).map(named) };
  }
  if (typeof value === 'string') {
    return named(value);
  }
  const text = JSON.stringify(value);
  return text.length > MAX_AUDIT_CHANGES / 2 ? cut(text) : value;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function withName(id: string, name: string): string {
  return cut(name === '' || name === id ? id : `${id} (${name})`);
}

function cut(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}

/** Fields beyond the bound are named in `more`, without their values. */
function bounded(fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const left: string[] = [];
  let bytes = 0;
  for (const [field, value] of Object.entries(fields)) {
    bytes += Buffer.byteLength(JSON.stringify([field, value]));
    if (bytes > MAX_AUDIT_CHANGES) {
      left.push(field);
    } else {
      kept[field] = value;
    }
  }
  return left.length > 0 ? { ...kept, more: left } : kept;
}
