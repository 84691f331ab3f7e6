/** Who sees the traffic of an interface, and who has. */
import { type Event, MAX_SUMMARY_ITEMS, type Viewer } from '@mirrorplane/contract';
import { isInForce } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { displayNames } from './display-names.ts';

type Captures = Viewer['captures'];

/**
 * The policies of which an interface is a source, and those for which nodes have captured it.
 * @param newestFirst events that are kept
 */
export function viewersOf(id: string, view: View, newestFirst: Iterable<Event>): Viewer[] {
  const captures = new Map<string, Captures>();
  const creators = new Map<string, string>();
  /** By policy: where its copies went when it saw the interface last. */
  const former = new Map<string, string>();
  for (const event of newestFirst) {
    const { kind, object, cause, policy, node, at, was } = event;
    if (was?.sources.includes(id) && !former.has(object.name)) {
      former.set(object.name, was.destination);
    }
    if (kind === 'policyCreated' && !creators.has(object.name)) {
      creators.set(object.name, cause.name);
    }
    if (object.kind === 'interface' && object.name === id && policy !== undefined && node !== undefined) {
      captures.set(policy, withEvent(captures.get(policy) ?? [], kind, node, at));
    }
  }
  const now = [...view.all('policies').values()].flatMap(({ value }) =>
    isInForce(value) && value.sources.includes(id) ? [value] : [],
  );
  const names = new Set([...now.map(({ name }) => name), ...captures.keys(), ...former.keys()]);
  return [...names].sort().map((name) => {
    const policy = view.get('policies', name)?.value;
    const createdBy = policy ? policy.createdBy : creators.get(name);
    const isNow = policy?.sources.includes(id) ?? false;
    const before = isNow ? undefined : former.get(name);
    return {
      policy: name,
      isNow,
      ...(policy && asIs(policy, view)),
      ...(before !== undefined && { destination: destinationOf(before, view) }),
      ...(createdBy !== undefined && { createdBy }),
      captures: (captures.get(name) ?? []).slice(0, MAX_SUMMARY_ITEMS),
    };
  });
}

function asIs({ enabled, direction, percent, destination }: PolicyRecord, view: View): Partial<Viewer> {
  return { enabled, direction, percent, destination: destinationOf(destination, view) };
}

function destinationOf(id: string, view: View): NonNullable<Viewer['destination']> {
  return { id, name: displayNames(view)(id) };
}

/** Goes back in time: an end is met before its begin. */
function withEvent(captures: Captures, kind: Event['kind'], node: string, at: string): Captures {
  if (kind === 'captureDetached') {
    return [...captures, { node, until: at }];
  }
  if (kind !== 'captureAttached') {
    return captures;
  }
  const open = captures.findLastIndex((one) => one.node === node && one.from === undefined);
  return open < 0
    ? [...captures, { node, from: at }]
    : captures.map((one, index) => (index === open ? { ...one, from: at } : one));
}
