/** Events, the newest first, and those that come while one looks. */

import { useQuery } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { Event } from '../api/types.ts';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import classes from './event-list.module.css';
import { Data, Said } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';
import { ObjectLink } from './resource-link.tsx';

export type EventKind = Event['kind'];

/** Which events. */
export interface EventSearch {
  limit: number;
  kind?: EventKind[] | undefined;
  /** `KIND/NAME`. */
  object?: string | undefined;
  /** Words that an event has to contain. */
  filter?: string | undefined;
  /** Only events before this id. */
  before?: number | undefined;
}

/** Rows of a page of events: what one looks at, and not more than a browser draws at once. */
const PER_PAGE = 60;

/** The newest events of a search. */
export function useEvents({ limit, kind, object, filter, before }: EventSearch) {
  return useQuery({
    queryKey: ['events', { limit, kind, object, filter, before }],
    queryFn: ({ signal }) => {
      const query = {
        limit,
        ...(kind?.length && { kind }),
        ...(object && { object }),
        ...(filter && { filter }),
        ...(before && { before }),
      };
      return answer(api.GET('/api/v1/events', { params: { query }, signal }));
    },
    placeholderData: (shown) => shown,
  });
}

type PagedSearch = Pick<EventSearch, 'kind' | 'object' | 'filter'>;

/** The page of a search that the address says. */
export function useEventPage(search: PagedSearch) {
  const { before } = useSearch({ strict: false });
  return useEvents({ ...search, limit: PER_PAGE, before });
}

/** All events of a search, a page at a time. */
export function EventPages(search: PagedSearch): ReactNode {
  const { before } = useSearch({ strict: false });
  const { data } = useEventPage(search);
  const items = data?.items ?? [];
  const to = (id: number | undefined) => ((now: object) => ({ ...now, before: id })) as never;
  return (
    <>
      <EventList {...search} limit={PER_PAGE} before={before} />
      <nav className="bar" aria-label={text.events.pages}>
        {before !== undefined && (
          <Link to="." search={to(undefined)}>
            {text.events.newest}
          </Link>
        )}
        {items.length === PER_PAGE && (
          <Link to="." search={to(items[0]!.id)}>
            {text.events.older}
          </Link>
        )}
      </nav>
    </>
  );
}

export function EventList(search: EventSearch): ReactNode {
  const { data, error, isPending } = useEvents(search);
  if (error) {
    return <ProblemAlert error={error} />;
  }
  if (isPending) {
    return <p className="quiet">{text.common.loading}</p>;
  }
  if (data.items.length === 0) {
    return (
      <p className="quiet">
        {search.kind?.length || search.object || search.filter ? text.events.filtered : text.events.none}
      </p>
    );
  }
  return (
    <div className={classes.box}>
      <table className={classes.events}>
        <thead>
          <tr>
            <th scope="col">{text.events.at}</th>
            <th scope="col">{text.events.kind}</th>
            <th scope="col">{text.events.object}</th>
            <th scope="col">{text.events.message}</th>
            <th scope="col">{text.events.cause}</th>
          </tr>
        </thead>
        <tbody>
          {data.items.toReversed().map((event) => (
            <EventRow key={event.id} event={event} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function EventRow({ event }: { event: Event }): ReactNode {
  const { at, kind, object, message, cause } = event;
  return (
    <tr>
      <td className="number" translate="no">
        {dateTime(at)}
      </td>
      <td>
        <Data>{kind}</Data>
      </td>
      <td>
        <ObjectLink {...object} />
      </td>
      <td>
        <Said>{message}</Said>
      </td>
      <td className="quiet">
        {text.events.causes[cause.kind]} {cause.name !== cause.kind && <Data>{cause.name}</Data>}
      </td>
    </tr>
  );
}
