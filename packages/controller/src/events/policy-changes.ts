/** Makes events for an operator's changes of policies, from the store operations. Pure. */
import type { Event, EventCause, EventDraft } from '@mirrorplane/contract';
import { needsText } from '../access/consent.ts';
import { FOLDERS, type PolicyRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';

/** Fields that only the controller writes. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'uid',
  'type',
  'createdAt',
  'updatedAt',
  'enabled',
  'approval',
  'change',
]);

/** Events of changes that can give a policy another state. */
const CHANGES: ReadonlySet<Event['kind']> = new Set<Event['kind']>([
  'policyCreated',
  'policyChanged',
  'policyEnabled',
  'policyDisabled',
  'policyApprovalRequested',
  'policyApproved',
  'policyRejected',
  'policyEnded',
]);

/** Who made the last change of a policy, by its event. */
export function lastChangeOf(name: string, newestFirst: Iterable<Event>): EventCause | undefined {
  for (const { kind, object, cause } of newestFirst) {
    if (object.kind === 'policy' && object.name === name && CHANGES.has(kind)) {
      return cause;
    }
  }
  return undefined;
}

/**
 * Events for the operations of an operator.
 * @param before returns the policy before the change
 * @param operator name of the operator
 */
export function policyChanges(
  ops: readonly Operation[],
  before: (name: string) => PolicyRecord | undefined,
  operator: string,
): EventDraft[] {
  return ops.flatMap((op): EventDraft[] => {
    if (!op.key.startsWith(FOLDERS.policies)) {
      return [];
    }
    const name = op.key.slice(FOLDERS.policies.length);
    const was = before(name);
    const is = op.type === 'put' ? (op.value as PolicyRecord) : undefined;
    const event = (kind: EventDraft['kind'], message: string): EventDraft => {
      return { kind, object: { kind: 'policy', name }, message, cause: { kind: 'operator', name: operator } };
    };
    if (!is) {
      return was ? [{ ...event('policyDeleted', 'the policy was deleted'), was: endedBy(was) }] : [];
    }
    if (!was) {
      return [event('policyCreated', `the policy was created: ${outline(is)}`), ...consentEvents(undefined, is, event)];
    }
    const changed = changedFields(was, is);
    const toggled = was.enabled !== is.enabled;
    return [
      ...(changed.length > 0
        ? [{ ...event('policyChanged', `the policy was changed: ${changed.join(', ')}`), ...endedIn(was, is) }]
        : []),
      ...consentEvents(was, is, event),
      ...(toggled && is.enabled ? [event('policyEnabled', 'the policy was enabled')] : []),
      ...(toggled && !is.enabled ? [event('policyDisabled', 'the policy was disabled')] : []),
    ];
  });
}

/** Events for consent that was asked for, given, refused or withdrawn. */
function consentEvents(
  was: PolicyRecord | undefined,
  is: PolicyRecord,
  event: (kind: EventDraft['kind'], message: string) => EventDraft,
): EventDraft[] {
  const [before, now] = [waiting(was), waiting(is)];
  if (now) {
    const isNew = before?.requestedAt !== now.requestedAt;
    const needs = `it waits for ${needsText(now.needs)}`;
    const what = is.change ? 'the change' : 'the policy';
    return isNew
      ? [event('policyApprovalRequested', `${what} needs consent: ${needs}`)]
      : now.given.length > before.given.length
        ? [event('policyApproved', `consent was given; ${needs}`)]
        : [];
  }
  if (is.approval?.state === 'rejected') {
    const { reason } = is.approval;
    const verb = before ? 'refused' : 'withdrawn';
    const isNew = was?.approval?.state !== 'rejected';
    return isNew ? [event('policyRejected', `consent was ${verb}${reason === undefined ? '' : `: ${reason}`}`)] : [];
  }
  if (!before) {
    return [];
  }
  const isApproved = is.approval?.requestedAt === before.requestedAt;
  return isApproved
    ? [event('policyApproved', 'consent was given: the policy is in force')]
    : was!.change && sameSpec(was!, is)
      ? [event('policyRejected', 'the change was refused')]
      : [];
}

function waiting({ change, approval }: Partial<PolicyRecord> = {}) {
  return change ?? (approval?.state === 'pending' ? approval : undefined);
}

function sameSpec(was: PolicyRecord, is: PolicyRecord): boolean {
  return changedFields(was, is).length === 0 && was.enabled === is.enabled;
}

/** What ends with a policy, or with the part of it that these sources were. */
function endedBy({ destination, sources }: PolicyRecord, ended = sources): NonNullable<EventDraft['was']> {
  return { destination, sources: [...ended] };
}

/** What ends by a change: sources that are none any more, or all of them where copies go elsewhere. */
function endedIn(was: PolicyRecord, is: PolicyRecord): Pick<EventDraft, 'was'> {
  const left = new Set(is.destination === was.destination ? is.sources : []);
  const ended = was.sources.filter((id) => !left.has(id));
  return ended.length > 0 ? { was: endedBy(was, ended) } : {};
}

function outline({ sources, destination, direction, percent, enabled }: PolicyRecord): string {
  const many = sources.length === 1 ? '1 source' : `${sources.length} sources`;
  return `${many} to ${destination}, ${direction}, ${percent} %${enabled ? '' : ', disabled'}`;
}

/**
 * Describes changed fields, such as `percent 100 to 25`. For lists and texts, only that they have
 * changed.
 */
function changedFields(was: PolicyRecord, is: PolicyRecord): string[] {
  const names = new Set([...Object.keys(was), ...Object.keys(is)].filter((name) => !OWN_FIELDS.has(name)));
  return [...names].flatMap((name) => {
    const [old, now] = [was[name as keyof PolicyRecord], is[name as keyof PolicyRecord]];
    if (JSON.stringify(old) === JSON.stringify(now)) {
      return [];
    }
    const short = typeof (now ?? old) === 'number' || ['destination', 'direction'].includes(name);
    return [short ? `${name} ${old ?? 'none'} to ${now ?? 'none'}` : name];
  });
}
