/** Judges what was recorded: nothing acknowledged is lost, nothing is half done, and all books agree. */
import { linearize } from './checker/linearizable.ts';
import type { Operation, Value } from './checker/operation.ts';
import type { SeenEvent } from './events.ts';
import type { ListRead } from './recorder.ts';
import type { Commit } from './world/observer.ts';

/** An entry of the audit log, as far as it is judged. */
export interface AuditLine {
  resource: string;
  action: string;
  outcome: string;
  revision?: number;
}

export interface Evidence {
  operations: readonly Operation[];
  lists: readonly ListRead[];
  events: readonly SeenEvent[];
  audit: readonly AuditLine[];
  /** What the engine itself says that was committed, in order. Undefined: it cannot be asked. */
  commits: readonly Commit[] | undefined;
  /** The value of a record of the store. */
  valueIn(key: string, record: unknown): Value | undefined;
  /** The resources as they are at the end, by key. */
  last: ReadonlyMap<string, { revision: number; value: Value }>;
  /** Keys of the resources that only the clients change. */
  keys: readonly string[];
}

/** @returns what is wrong, each with what is needed to understand it. Empty: all is well */
export function judge(evidence: Evidence): string[] {
  return [
    ...linearizability(evidence),
    ...orderOfRevisions(evidence.operations),
    ...growingRevisions(evidence.operations),
    ...committed(evidence),
    ...listsAreMoments(evidence),
    ...auditIsComplete(evidence),
    ...eventsAreComplete(evidence),
  ];
}

/** Operations, and the lists as reads of each resource. */
function allOperations({ operations, lists, last, keys }: Evidence): Map<string, Operation[]> {
  const all = Map.groupBy(operations, ({ key }) => key);
  for (const key of keys) {
    all.set(key, all.get(key) ?? []);
  }
  for (const [key, found] of all) {
    const [folder, name] = key.split('/') as [string, string];
    for (const { client, invoked, returned, items } of lists.filter((list) => list.folder === folder)) {
      found.push(readOf(key, { client, invoked, returned }, items.get(name)));
    }
    if (keys.includes(key)) {
      found.push(readOf(key, { client: 'at the end', invoked: END, returned: END }, last.get(key)));
    }
  }
  return all;
}

/** After all operations with an answer. */
const END = Number.MAX_SAFE_INTEGER;

function readOf(
  key: string,
  at: Pick<Operation, 'client' | 'invoked' | 'returned'>,
  item: { revision: number; value: Value } | undefined,
): Operation {
  return { ...at, key, request: { kind: 'read' }, outcome: item ? { kind: 'found', ...item } : { kind: 'absent' } };
}

function linearizability(evidence: Evidence): string[] {
  return [...allOperations(evidence)].flatMap(([key, operations]) => {
    const { verdict, order, stuck } = linearize(operations);
    if (verdict === 'linearizable') {
      return [];
    }
    const lines = [
      ...order.slice(-6).map((one) => `  then ${textOf(one)}`),
      ...stuck.map((one) => `  not  ${textOf(one)}`),
    ];
    return [`${key}: no order explains all answers (${verdict}):\n${lines.join('\n')}`];
  });
}

function textOf({ client, invoked, returned, request, outcome }: Operation): string {
  return `${invoked.toFixed(1)} to ${returned.toFixed(1)} ${client}: ${JSON.stringify(request)} gave ${JSON.stringify(outcome)}`;
}

/** A write that was asked for after another was acknowledged has a higher revision, whatever they wrote. */
function orderOfRevisions(operations: readonly Operation[]): string[] {
  const writes = operations.filter(isWrite).filter(({ key }) => !key.startsWith('tokens/'));
  const byAnswer = [...writes].sort((one, other) => one.returned - other.returned);
  const byCall = [...writes].sort((one, other) => one.invoked - other.invoked);
  const problems: string[] = [];
  let highest: Operation | undefined;
  let at = 0;
  for (const write of byCall) {
    for (; byAnswer[at] !== undefined && byAnswer[at]!.returned < write.invoked; at++) {
      highest = highest === undefined || revisionOf(byAnswer[at]!) > revisionOf(highest) ? byAnswer[at] : highest;
    }
    if (highest && revisionOf(write) <= revisionOf(highest) && write !== highest) {
      problems.push(`a later write has no higher revision:\n  ${textOf(highest)}\n  ${textOf(write)}`);
    }
  }
  const byRevision = Map.groupBy(writes, revisionOf);
  const shared = [...byRevision.values()].filter((same) => new Set(same.map(({ key }) => key)).size > 1);
  return [...problems, ...shared.map((same) => `two writes have one revision:\n${same.map(textOf).join('\n')}`)];
}

/** A write that has changed something. */
function isWrite({ outcome, request }: Operation): boolean {
  return outcome.kind === 'written' && !('change' in request && !('token' in request.change));
}

const revisionOf = ({ outcome }: Operation): number => ('revision' in outcome ? outcome.revision : 0);

/** What one client sees of one resource never goes back. */
function growingRevisions(operations: readonly Operation[]): string[] {
  const newest = new Map<string, Operation>();
  return [...operations]
    .filter(({ key, outcome }) => 'revision' in outcome && !key.startsWith('tokens/'))
    .sort((one, other) => one.returned - other.returned)
    .flatMap((operation) => {
      const reader = `${operation.client} ${operation.key}`;
      const before = newest.get(reader);
      newest.set(reader, operation);
      return before && revisionOf(before) > revisionOf(operation)
        ? [`a client sees a revision after a higher one:\n  ${textOf(before)}\n  ${textOf(operation)}`]
        : [];
    });
}

/** Each acknowledged write was committed as it was answered, and nothing else was committed. */
function committed({ operations, commits, valueIn, keys }: Evidence): string[] {
  if (commits === undefined) {
    return [];
  }
  const mine = new Set(keys);
  const own = commits.filter(({ key }) => mine.has(key));
  const at = new Map(own.map((commit) => [`${commit.key} ${commit.revision}`, commit]));
  const lost = operations
    .filter(({ key, outcome }) => outcome.kind === 'written' && mine.has(key))
    .flatMap((operation) => {
      const { key, outcome } = operation;
      const commit = at.get(`${key} ${revisionOf(operation)}`);
      const isSame =
        commit !== undefined &&
        'value' in outcome &&
        JSON.stringify(valueIn(key, commit.value)) === JSON.stringify(outcome.value);
      return isSame
        ? []
        : [`an acknowledged write is not in the store: ${textOf(operation)}; found ${JSON.stringify(commit)}`];
    });
  const tokens = new Set(
    operations.flatMap(({ request }) => [
      ...Object.values('value' in request ? request.value : 'change' in request ? request.change : {}),
    ]),
  );
  const foreign = own.flatMap(({ key, revision, value }) => {
    const found = value === undefined ? undefined : valueIn(key, value);
    return found === undefined || tokens.has(found.token!)
      ? []
      : [`nobody has written what ${key} has at ${revision}: ${JSON.stringify(found)}`];
  });
  const deletions = count(own.filter(({ value }) => value === undefined).map(({ key }) => key));
  const asked = Map.groupBy(
    operations.filter(({ request }) => request.kind === 'delete'),
    ({ key }) => key,
  );
  const wrong = keys.flatMap((key) => {
    const all = asked.get(key) ?? [];
    const least = all.filter(({ outcome }) => outcome.kind === 'deleted').length;
    const most = least + all.filter(({ outcome }) => outcome.kind === 'unknown').length;
    const found = deletions.get(key) ?? 0;
    return found < least || found > most
      ? [`${key} was deleted ${found} times, and clients know of ${least} to ${most}`]
      : [];
  });
  return [...lost, ...foreign, ...wrong];
}

function count(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) {
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** A list shows all resources as they were at one moment. */
function listsAreMoments({ lists, commits, keys }: Evidence): string[] {
  if (commits === undefined) {
    return [];
  }
  const history = Map.groupBy(commits, ({ key }) => key);
  return lists
    .filter(({ folder }) => folder !== 'tokens')
    .flatMap((list) => {
      let [from, to] = [0, Number.POSITIVE_INFINITY];
      for (const [name, { revision }] of list.items) {
        const [span] = spansOf(history.get(`${list.folder}/${name}`) ?? [], revision);
        from = Math.max(from, span?.from ?? Number.POSITIVE_INFINITY);
        to = Math.min(to, span?.to ?? 0);
      }
      const isMoment = from <= to && absentFits(list, history, keys, from, to);
      const items = [...list.items].map(([name, { revision }]) => `${name} ${revision}`);
      return isMoment
        ? []
        : [`a list of ${list.folder} is of no single moment, which would be ${from} to ${to}: ${items}`];
    });
}

/** Revisions between which a resource had this revision, or was absent. */
function spansOf(changes: readonly Commit[], revision: number | undefined): { from: number; to: number }[] {
  const ends = changes.map(({ revision: at }, index) => ({
    at,
    to: (changes[index + 1]?.revision ?? Number.POSITIVE_INFINITY) - 1,
  }));
  if (revision !== undefined) {
    return ends.filter(({ at }) => at === revision).map(({ at, to }) => ({ from: at, to }));
  }
  const gone = ends.filter((_, index) => changes[index]!.value === undefined).map(({ at, to }) => ({ from: at, to }));
  return [{ from: 0, to: (changes[0]?.revision ?? Number.POSITIVE_INFINITY) - 1 }, ...gone];
}

/** Whether there is a revision in this span at which all resources that a list leaves out were absent. */
function absentFits(
  list: ListRead,
  history: ReadonlyMap<string, Commit[]>,
  keys: readonly string[],
  from: number,
  to: number,
): boolean {
  const absent = keys.filter(
    (key) => key.startsWith(`${list.folder}/`) && !list.items.has(key.slice(list.folder.length + 1)),
  );
  const spans = absent.map((key) => spansOf(history.get(key) ?? [], undefined));
  const moments = [from, ...spans.flat().map((span) => span.from)].filter((at) => at >= from && at <= to);
  return moments.some((at) => spans.every((all) => all.some((span) => span.from <= at && at <= span.to)));
}

/** The audit log has exactly one entry for each change. */
function auditIsComplete({ audit, operations, commits, keys }: Evidence): string[] {
  const done = audit.filter(({ outcome, resource }) => outcome === 'done' && keys.includes(resource));
  const entries = count(done.map(({ resource, revision }) => `${resource} ${revision}`));
  const twice = [...entries].filter(([, times]) => times > 1).map(([key]) => `the audit log has ${key} twice`);
  const wanted =
    commits?.filter(({ key }) => keys.includes(key)).map(({ key, revision }) => `${key} ${revision}`) ??
    operations
      .filter(isWrite)
      .filter(({ key }) => keys.includes(key))
      .map((one) => `${one.key} ${revisionOf(one)}`);
  const missing = wanted.filter((key) => !entries.has(key)).map((key) => `the audit log has no entry of ${key}`);
  const all = new Set(wanted);
  const more =
    commits === undefined
      ? []
      : [...entries.keys()]
          .filter((key) => !all.has(key))
          .map((key) => `the audit log has ${key}, which was not committed`);
  return [...twice, ...missing, ...more];
}

/** Each change of a policy was seen once in the stream of events, in order. */
function eventsAreComplete({ events, commits, valueIn, keys }: Evidence): string[] {
  const ids = events.map(({ id }) => id);
  const unordered = ids.flatMap((id, index) =>
    index > 0 && id <= ids[index - 1]! ? [`event ${id} came after ${ids[index - 1]}`] : [],
  );
  if (commits === undefined) {
    return unordered;
  }
  const policies = keys.filter((key) => key.startsWith('policies/'));
  const wrong = policies.flatMap((key) => {
    const name = key.slice('policies/'.length);
    const seen = events.filter(
      ({ kind, object }) => object.kind === 'policy' && object.name === name && CHANGES.has(kind),
    );
    const wanted = kindsOf(key, commits, valueIn);
    const found = seen.map(({ kind }) => kind);
    return JSON.stringify(found) === JSON.stringify(wanted) ? [] : [`events of ${key}: ${difference(found, wanted)}`];
  });
  return [...unordered, ...wrong];
}

const CHANGES = new Set(['policyCreated', 'policyChanged', 'policyEnabled', 'policyDisabled', 'policyDeleted']);

/** Kinds of the events that the changes of a policy make. */
function kindsOf(key: string, commits: readonly Commit[], valueIn: Evidence['valueIn']): string[] {
  let before: Value | undefined;
  return commits
    .filter((commit) => commit.key === key)
    .flatMap(({ value }) => {
      const was = before;
      const is = value === undefined ? undefined : valueIn(key, value);
      before = is;
      if (is === undefined) {
        return ['policyDeleted'];
      }
      if (was === undefined) {
        return ['policyCreated'];
      }
      const toggled = was.enabled === is.enabled ? [] : [is.enabled ? 'policyEnabled' : 'policyDisabled'];
      return [...(was.token === is.token ? [] : ['policyChanged']), ...toggled];
    });
}

function difference(found: readonly string[], wanted: readonly string[]): string {
  const at = wanted.findIndex((kind, index) => found[index] !== kind);
  const from = Math.max(0, (at < 0 ? wanted.length : at) - 2);
  return `${found.length} seen, ${wanted.length} committed; from number ${from}: seen ${found.slice(from, from + 6)}, committed ${wanted.slice(from, from + 6)}`;
}
