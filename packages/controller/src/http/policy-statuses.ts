/** The list of the statuses of all policies. A status is large, so only those of a page are made. */
import type { PolicyStatus } from '@mirrorplane/contract';
import type { PolicyOutline } from '@mirrorplane/planner';
import type { Judge } from '../access/judge.ts';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
import type { Walks } from '../summaries/walks.ts';
import type { ListSpec } from './list-spec.ts';
import { listOptions, type Page, type PageRequest, pageSteps } from './paging.ts';
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
export function* statusPage(
  parts: Parts,
  query: PageRequest,
  { judge, who }: { judge: Judge; who: { name: string } },
): Generator<undefined, Page<PolicyStatus>> {
  const { view, walks, statuses } = parts;
  const options = listOptions({ view, walks }, who);
  const most = MAX_PAGE_SOURCES;
  if (query.filter !== '' || query.sort.replace('-', '') !== BY_NAME.keyName) {
    const sourcesOf = ({ name }: PolicyOutline) => view.get('policies', name)?.value.sources.length ?? 0;
    const all = yield* statuses.refresh();
    const seen = all.filter(({ name }) => judge.may('read', 'policy', name));
    const page = yield* pageSteps(seen, STATUSES, query, { ...options, size: { of: sourcesOf, most } });
    return { ...page, items: yield* wholeOf(page, parts, judge) };
  }
  const size = { of: ({ value }: Stored<PolicyRecord>) => value.sources.length, most };
  const seen = view
    .all('policies')
    .values()
    .filter(({ value }) => judge.seesWhole(value));
  const page = yield* pageSteps([...seen], BY_NAME, query, { ...options, size });
  const named = { items: page.items.map(({ value }) => value) };
  return { ...page, items: yield* wholeOf(named, parts, judge) };
}

/** A policy may have got other sources since the page was made: rights are asked for again, beside the status. */
function* wholeOf(
  { items }: { items: readonly { name: string }[] },
  { view, statuses }: Parts,
  judge: Judge,
): Generator<undefined, PolicyStatus[]> {
  const whole = new Map<string, PolicyStatus>();
  for (const { name } of items) {
    const stored = view.get('policies', name);
    if (stored && judge.seesWhole(stored.value)) {
      whole.set(name, statuses.one(stored));
    }
    yield;
  }
  return items.flatMap(({ name }) => whole.get(name) ?? []);
}
