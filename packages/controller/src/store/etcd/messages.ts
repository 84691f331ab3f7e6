/**
 * The messages of etcd's API that the store uses. Numbers of fields are those of etcd's
 * `api/etcdserverpb/rpc.proto` and `api/mvccpb/kv.proto`. They are the same from 3.3 to 3.6.
 */
import { Fields, message } from './wire.ts';

/** Calls, by the path that gRPC gives them. */
export const CALLS = {
  range: '/etcdserverpb.KV/Range',
  txn: '/etcdserverpb.KV/Txn',
  compact: '/etcdserverpb.KV/Compact',
  watch: '/etcdserverpb.Watch/Watch',
  grant: '/etcdserverpb.Lease/LeaseGrant',
  revoke: '/etcdserverpb.Lease/LeaseRevoke',
  keepAlive: '/etcdserverpb.Lease/LeaseKeepAlive',
  timeToLive: '/etcdserverpb.Lease/LeaseTimeToLive',
  authenticate: '/etcdserverpb.Auth/Authenticate',
} as const;
export type Call = keyof typeof CALLS;

/** A key of etcd with its value. */
export interface KeyValue {
  key: string;
  value: Buffer;
  createRevision: number;
  modRevision: number;
}

/** What to read: one key, or all keys from `key` to before `end`. */
export interface RangeRequest {
  key: string;
  end?: Uint8Array;
  /** 0: all. */
  limit?: number;
  /** 0: the newest. */
  revision?: number;
  keysOnly?: boolean;
  /** Begin with the key that was written last. */
  newestFirst?: boolean;
}

const DESCENDING = 2;
const BY_MOD_REVISION = 3;

export function rangeRequest(range: RangeRequest): Buffer {
  return message(
    [1, range.key],
    [2, range.end],
    [3, range.limit],
    [4, range.revision],
    ...(range.newestFirst ? [[5, DESCENDING] as [number, number], [6, BY_MOD_REVISION] as [number, number]] : []),
    [8, range.keysOnly],
  );
}

/** A condition of a transaction. */
export type Condition = { key: string } & ({ createRevision: number } | { modRevision: number } | { notValue: string });

const EQUAL = 0;
const NOT_EQUAL = 3;
const CREATE = 1;
const MOD = 2;
const VALUE = 3;

function condition(one: Condition): Buffer {
  if ('notValue' in one) {
    return message([1, NOT_EQUAL], [2, VALUE], [3, one.key], [7, Buffer.from(one.notValue)]);
  }
  // A revision of 0 is written too: etcd refuses a comparison without a value.
  return 'createRevision' in one
    ? message([1, EQUAL], [2, CREATE], [3, one.key], [5, [one.createRevision]])
    : message([1, EQUAL], [2, MOD], [3, one.key], [6, [one.modRevision]]);
}

/** One operation of a transaction, as a `RequestOp`. */
export const operations = {
  put: (key: string, value: string | Buffer, lease?: number) =>
    message([2, message([1, key], [2, typeof value === 'string' ? Buffer.from(value) : value], [3, lease])]),
  remove: (key: string) => message([3, message([1, key])]),
  range: (range: RangeRequest) => message([1, rangeRequest(range)]),
  txn: (request: Buffer) => message([4, request]),
};

/** @param success operations if all conditions hold; @param failure operations if not */
export function txnRequest(conditions: readonly Condition[], success: Buffer[], failure: Buffer[] = []): Buffer {
  return message([1, conditions.map(condition)], [2, success], [3, failure]);
}

export function watchRequest(key: string, end: Uint8Array, startRevision: number): Buffer {
  return message([1, message([1, key], [2, end], [3, startRevision])]);
}

/** @param seconds time to live; etcd takes no shorter one than its election timeout allows */
export const grantRequest = (id: number, seconds: number) => message([1, seconds], [2, id]);
export const leaseRequest = (id: number) => message([1, id]);
export const compactRequest = (revision: number) => message([1, revision]);
export const authenticateRequest = (name: string, password: string) => message([1, name], [2, password]);

/** Revision of the store at an answer. */
const revisionOf = (answer: Fields) => answer.inner(1).number(3);

function keyValue(fields: Fields): KeyValue {
  return {
    key: fields.text(1),
    value: fields.bytes(5),
    createRevision: fields.number(2),
    modRevision: fields.number(3),
  };
}

function rangeAnswer(fields: Fields) {
  return { revision: revisionOf(fields), entries: fields.all(2).map(keyValue), more: fields.flag(3) };
}

/** One change of a watch. Of a deletion, `entry` has the key and the revision. */
interface WatchEvent {
  deleted: boolean;
  entry: KeyValue;
}

/** Answers of the calls. */
export const answers = {
  range: (bytes: Buffer) => rangeAnswer(new Fields(bytes)),
  /** `ranges` has the answers of operations that read. `deleted`: how many keys were deleted. */
  txn(bytes: Buffer) {
    const fields = new Fields(bytes);
    const results = fields.all(3);
    return {
      ok: fields.flag(2),
      revision: revisionOf(fields),
      ranges: results.map((result) => rangeAnswer(result.inner(1))),
      deleted: results.reduce((sum, result) => sum + deletedIn(result), 0),
    };
  },
  watch(bytes: Buffer) {
    const fields = new Fields(bytes);
    return {
      created: fields.flag(3),
      canceled: fields.flag(4),
      compacted: fields.number(5),
      reason: fields.text(6),
      events: fields.all(11).map((event): WatchEvent => ({ deleted: event.flag(1), entry: keyValue(event.inner(2)) })),
    };
  },
  /** Seconds that the lease has left. 0: it has expired. */
  keepAlive: (bytes: Buffer) => new Fields(bytes).number(3),
  /**
   * Whole seconds that a lease has left, and that it has when it is renewed. After an election, etcd
   * gives it more: the time of an election. `left` is undefined if it has expired.
   */
  timeToLive(bytes: Buffer) {
    const fields = new Fields(bytes);
    const granted = fields.number(4);
    // One that has expired has -1 left, which is a very large number here.
    const left = Number.isSafeInteger(fields.number(3)) ? fields.number(3) : undefined;
    return { granted, left };
  },
  token: (bytes: Buffer) => new Fields(bytes).text(2),
};

/** Deleted keys of one result, and of those in it if it is a transaction. */
function deletedIn(result: Fields): number {
  return (
    result.inner(3).number(2) +
    result
      .inner(4)
      .all(3)
      .reduce((sum, inner) => sum + deletedIn(inner), 0)
  );
}
