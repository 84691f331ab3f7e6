/** The list of the statuses of all policies. A status is large, so only those of a page are made. */
import type { PolicyStatus } from '@mirrorplane/contract';
import type { PolicyOutline } from '@mirrorplane/planner';
import type { Judge } from '../access/judge.ts';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
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

interface Parts {
  view: View;
  walks: Walks;
  statuses: KeptStatuses;
}

/** One page of the statuses of policies that one may see whole. @throws ProblemError as `pageOf` does */
export function statusPage(
  { view, walks, statuses }: Parts,
  query: PageRequest,
  { judge, who }: { judge: Judge; who: { name: string } },
): Page<PolicyStatus> {
  const options = listOptions({ view, walks }, who);
  const most = MAX_PAGE_SOURCES;
  if (query.filter !== '' || query.sort.replace('-', '') !== BY_NAME.keyName) {
    const sourcesOf = ({ name }: PolicyOutline) => view.get('policies', name)?.value.sources.length ?? 0;
    const seen = statuses.all().filter(({ name }) => judge.may('read', 'policy', name));
    const page = pageOf(seen, STATUSES, query, { ...options, size: { of: sourcesOf, most } });
    const items = page.items.flatMap(({ name }) => view.get('policies', name) ?? []);
    return { ...page, items: items.map((policy) => statuses.one(policy)) };
  }
  const size = { of: ({ value }: Stored<PolicyRecord>) => value.sources.length, most };
  const seen = view
    .all('policies')
    .values()
    .filter(({ value }) => judge.seesWhole(value));
  const page = pageOf(seen, BY_NAME, query, { ...options, size });
  return { ...page, items: page.items.map((policy) => statuses.one(policy)) };
}
