/** Which events one may read. */
import type { Event } from '@mirrorplane/contract';
import type { Judge } from '../access/judge.ts';
import type { View } from '../store/view.ts';

/** Milliseconds between the time of an event and of its policy. */
const SLACK_MS = 1000;

/**
 * Whether one may read an event: it is about something in the scope. In a scope, an event of a
 * policy is only for who may read all of the policy, because its message can name any of its
 * interfaces. Events of an earlier policy of the same name stay hidden.
 */
export function seesEvent(event: Event, judge: Judge, { view }: { view: View }): boolean {
  const createdAt = (name: string) => view.get('policies', name)?.value.createdAt;
  if (judge.everywhere('read')) {
    return true;
  }
  const { object, policy, interfaces, was } = event;
  switch (object.kind) {
    case 'interface':
    case 'node':
    case 'pool':
    case 'domain':
      return judge.may('read', object.kind, object.name);
    case 'policy':
      return (
        isSince(event.at, createdAt(object.name)) &&
        judge.may('read', 'policy', object.name) &&
        (was === undefined || judge.seesWhole(was))
      );
    case 'look':
      return interfaces === undefined
        ? policy !== undefined && judge.may('read', 'policy', policy)
        : interfaces.some((id) => judge.may('read', 'interface', id));
    default:
      return false;
  }
}

/** Whether an event is of the policy that exists now. It is noted just before the policy is made. */
function isSince(at: string, createdAt: string | undefined): boolean {
  return createdAt !== undefined && Date.parse(at) >= Date.parse(createdAt) - SLACK_MS;
}
