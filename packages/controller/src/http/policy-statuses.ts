/** The list of the statuses of all policies. A status is large, so only those of a page are made. */
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Judge } from '../access/judge.ts';
import { observationOf, policyStatuses, type StatusParts } from '../planning/policy-status.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import type { Walks } from '../summaries/walks.ts';
import type { ListSpec } from './list-spec.ts';
import { listOptions, type Page, type PageRequest, pageOf } from './paging.ts';
import { STATUSES } from './policy-lists.ts';

/** Sources of the statuses on one page: a page ends behind them. A status has 1 KB for each. */
const MAX_PAGE_SOURCES = 4096;

/** Policies in the order of their names, which is known without their statuses. */
const BY_NAME: ListSpec<Stored<PolicyRecord>> = {
  keyName: 'name',
  key: ({ value }) => value.name,
  sort: {},
  texts: () => [],
  filter: {},
};

/** One page of the statuses of policies that one may see whole. @throws ProblemError as `pageOf` does */
export function statusPage(
  parts: StatusParts & { walks: Walks },
  query: PageRequest,
  { judge, who }: { judge: Judge; who: { name: string } },
): Page<PolicyStatus> {
  const options = listOptions(parts, who);
  const most = MAX_PAGE_SOURCES;
  if (query.filter !== '' || query.sort.replace('-', '') !== BY_NAME.keyName) {
    const size = { of: ({ sources }: PolicyStatus) => sources.length, most };
    const seen = policyStatuses(parts).filter(({ name }) => judge.may('read', 'policy', name));
    return pageOf(seen, STATUSES, query, { ...options, size });
  }
  const size = { of: ({ value }: Stored<PolicyRecord>) => value.sources.length, most };
  const seen = parts.view
    .all('policies')
    .values()
    .filter(({ value }) => judge.seesWhole(value));
  const page = pageOf(seen, BY_NAME, query, { ...options, size });
  const observation = observationOf(parts);
  return { ...page, items: page.items.flatMap((policy) => policyStatuses(parts, policy, observation)) };
}
