/** Messages of etcd's API as a server reads and writes them. Numbers of fields as in the client. */
import { Fields, message } from '@mirrorplane/controller/testing/control';
import type { Change, Compare, EtcdData, Found, Operation, Range, Result, Txn, Version } from './data.ts';

const text = (bytes: Buffer) => bytes.toString('latin1');
const bytesOf = (key: string) => Buffer.from(key, 'latin1');

function rangeOf(fields: Fields): Range {
  const end = text(fields.bytes(2));
  return {
    key: text(fields.bytes(1)),
    end: end === '' ? undefined : end,
    limit: fields.number(3),
    revision: fields.number(4),
    newestFirst: fields.number(5) !== 0,
    keysOnly: fields.flag(8),
  };
}

const VALUE = 3;
const CREATE = 1;

function compareOf(fields: Fields): Compare {
  const key = text(fields.bytes(3));
  const target = fields.number(2);
  if (target === VALUE) {
    return { key, notValue: text(fields.bytes(7)) };
  }
  return target === CREATE ? { key, createRevision: fields.number(5) } : { key, modRevision: fields.number(6) };
}

function operationOf(fields: Fields): Operation {
  const has = (number: number) => fields.bytes(number).length > 0;
  if (has(1)) {
    return { type: 'range', range: rangeOf(fields.inner(1)) };
  }
  if (has(2)) {
    const put = fields.inner(2);
    return { type: 'put', key: text(put.bytes(1)), value: put.bytes(2), lease: put.number(3) };
  }
  return has(3)
    ? { type: 'delete', key: text(fields.inner(3).bytes(1)) }
    : { type: 'txn', txn: txnOf(fields.inner(4)) };
}

function txnOf(fields: Fields): Txn {
  return {
    compare: fields.all(1).map(compareOf),
    success: fields.all(2).map(operationOf),
    failure: fields.all(3).map(operationOf),
  };
}

function header(revision: number): [number, Buffer] {
  return [1, message([3, revision])];
}

function keyValue({ key, value, createRevision, modRevision }: Version): Buffer {
  return message([1, bytesOf(key)], [2, createRevision], [3, modRevision], [5, value]);
}

function rangeAnswer(revision: number, { entries, more }: Found): Buffer {
  return message(header(revision), [2, entries.map(keyValue)], [3, more]);
}

function resultOf(revision: number, result: Result): Buffer {
  switch (result.type) {
    case 'put':
      return message([2, message(header(revision))]);
    case 'delete':
      return message([3, message(header(revision), [2, result.deleted])]);
    case 'range':
      return message([1, rangeAnswer(revision, result.found)]);
    case 'txn':
      return message([4, txnAnswer(revision, result)]);
  }
}

function txnAnswer(revision: number, { ok, results }: { ok: boolean; results: Result[] }): Buffer {
  return message(header(revision), [2, ok], [3, results.map((one) => resultOf(revision, one))]);
}

/** -1 as etcd says it is larger than any time, and so is this. */
const EXPIRED = Number.MAX_SAFE_INTEGER;

/** Carries a call out. @throws Refusal */
export function carryOut<By>(data: EtcdData<By>, call: string, request: Buffer, by: By): Buffer {
  const fields = new Fields(request);
  switch (call) {
    case 'range': {
      const found = data.range(rangeOf(fields));
      return rangeAnswer(data.revision, found);
    }
    case 'txn': {
      const done = data.txn(txnOf(fields), by);
      return txnAnswer(data.revision, done);
    }
    case 'compact':
      data.compact(fields.number(1));
      return message(header(data.revision));
    case 'grant':
      data.grant(fields.number(2), fields.number(1) * 1000);
      return message(header(data.revision), [2, fields.number(2)], [3, fields.number(1)]);
    case 'revoke':
      data.revoke(fields.number(1));
      return message(header(data.revision));
    case 'keepAlive': {
      const id = fields.number(1);
      return message(header(data.revision), [2, id], [3, Math.ceil(data.keepAlive(id) / 1000)]);
    }
    case 'timeToLive': {
      const { left, granted } = data.timeToLive(fields.number(1));
      const seconds = left === undefined ? EXPIRED : Math.floor(left / 1000);
      return message(header(data.revision), [2, fields.number(1)], [3, seconds], [4, granted / 1000]);
    }
    default:
      throw new Error(`the simulated etcd knows no call ${call}`);
  }
}

/** What a watch asks for. */
export function watchOf(request: Buffer): { key: string; end: string; from: number } {
  const created = new Fields(request).inner(1);
  return { key: text(created.bytes(1)), end: text(created.bytes(2)), from: created.number(3) };
}

export const watchAnswers = {
  created: (revision: number) => message(header(revision), [3, true]),
  compacted: (revision: number, compacted: number) => message(header(revision), [4, true], [5, compacted]),
  /** Undefined: nothing of the change is watched. */
  change<By>({ revision, events }: Change<By>, { key, end }: { key: string; end: string }): Buffer | undefined {
    const own = events.filter((one) => one.key >= key && one.key < end);
    const written = own.map(({ key: name, version }) =>
      version ? message([2, keyValue(version)]) : message([1, 1], [2, message([1, bytesOf(name)], [3, revision])]),
    );
    return own.length === 0 ? undefined : message(header(revision), [11, written]);
  },
};
