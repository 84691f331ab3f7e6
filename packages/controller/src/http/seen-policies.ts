/** Summaries of policies, for who may not read all of them. */
import { inTurns } from '@mirrorplane/base';
import type { Judge } from '../access/judge.ts';
import { FRESH_MS } from '../planning/kept-statuses.ts';
import type { Services } from '../services.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { partOfPolicy } from './policy-part.ts';

/**
 * Makes statuses of policies that have changed, in turns. In a large cluster, those that it does not
 * come to are as of the last comparison for events, which is some seconds ago.
 */
export async function freshStatuses({ statuses }: Pick<Services, 'statuses'>): Promise<void> {
  await inTurns(statuses.freshen(FRESH_MS));
}

/**
 * What one may see of policies. The sources that one may not see cannot be found by a filter
 * either.
 */
export function* seenEntries(services: Pick<Services, 'policies' | 'view'>, judge: Judge): Iterable<PolicyEntry> {
  for (const entry of services.policies.items().values()) {
    const record = services.view.get('policies', entry.name)?.value;
    const part = record && partOfPolicy(record, judge);
    if (part === record && part) {
      yield entry;
    } else if (part) {
      yield entry.partOf(part.sources);
    }
  }
}
