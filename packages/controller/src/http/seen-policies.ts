/** Summaries of policies, for who may not read all of them. */
import type { Judge } from '../access/judge.ts';
import type { Services } from '../services.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { partOfPolicy } from './policy-part.ts';

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
