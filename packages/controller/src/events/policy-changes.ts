/** Makes events for an operator's changes of policies, from the store operations. Pure. */
import type { EventDraft } from '@mirrorplane/contract';
import { FOLDERS, type PolicyRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';

/** Fields that only the controller writes. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['uid', 'type', 'createdAt', 'updatedAt', 'enabled']);

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
      return [event('policyCreated', `the policy was created: ${outline(is)}`)];
    }
    const changed = changedFields(was, is);
    const toggled = was.enabled !== is.enabled;
    return [
      ...(changed.length > 0
        ? [{ ...event('policyChanged', `the policy was changed: ${changed.join(', ')}`), ...endedIn(was, is) }]
        : []),
      ...(toggled && is.enabled ? [event('policyEnabled', 'the policy was enabled')] : []),
      ...(toggled && !is.enabled ? [event('policyDisabled', 'the policy was disabled')] : []),
    ];
  });
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
