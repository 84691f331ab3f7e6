/**
 * The pages and their addresses. What a page shows is in its address: a link to it shows the same
 * to others.
 */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import type { ListSearch } from './data/search.ts';
import { packetSearch } from './packets/search.ts';
import { FailedPage } from './pages/failed.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PoliciesPage } from './pages/policies.tsx';
import { Shell } from './shell.tsx';

const word = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function listSearch(search: Record<string, unknown>): ListSearch {
  const [sort, q] = [word(search.sort), word(search.q)];
  return { ...(sort && { sort }), ...(q && { q }) };
}

/** How much time charts show; absent: five minutes. */
function rangeSearch(search: Record<string, unknown>): { range?: 'hour' } {
  return search.range === 'hour' ? { range: 'hour' } : {};
}

/** Where a page of events begins: before this id. */
function eventsSearch(search: Record<string, unknown>): { before?: number } {
  const before = Number(search.before);
  return Number.isSafeInteger(before) && before > 0 ? { before } : {};
}

/** Which part of a page is open. */
function tabSearch(search: Record<string, unknown>): ListSearch & { tab?: string; range?: 'hour'; before?: number } {
  const tab = word(search.tab);
  return { ...listSearch(search), ...rangeSearch(search), ...eventsSearch(search), ...(tab && { tab }) };
}

/** The step of the form, and, for a new policy, which one it begins as. */
function formSearch(search: Record<string, unknown>): { step?: number; clone?: string } {
  const step = Number(search.step);
  const clone = word(search.clone);
  return { ...(step >= 1 && step <= 4 && { step: Math.floor(step) }), ...(clone && { clone }) };
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundPage });
const under = () => root;

const routes = [
  createRoute({ getParentRoute: under, path: '/', component: OverviewPage }),
  createRoute({ getParentRoute: under, path: '/policies', validateSearch: listSearch, component: PoliciesPage }),
  createRoute({
    getParentRoute: under,
    path: '/new-policy',
    validateSearch: formSearch,
    component: lazyRouteComponent(() => import('./form/new-policy.tsx'), 'NewPolicyPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/policies/$name',
    validateSearch: tabSearch,
    component: lazyRouteComponent(() => import('./pages/policy.tsx'), 'PolicyPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/policies/$name/edit',
    validateSearch: formSearch,
    component: lazyRouteComponent(() => import('./form/edit-policy.tsx'), 'EditPolicyPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/policies/$name/test',
    component: lazyRouteComponent(() => import('./pages/policy-test.tsx'), 'PolicyTestPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/interfaces',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/interfaces.tsx'), 'InterfacesPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/interfaces/$id',
    validateSearch: rangeSearch,
    component: lazyRouteComponent(() => import('./pages/interface.tsx'), 'InterfacePage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/destinations',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/destinations.tsx'), 'DestinationsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/nodes',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/nodes.tsx'), 'NodesPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/nodes/$name',
    validateSearch: rangeSearch,
    component: lazyRouteComponent(() => import('./pages/node.tsx'), 'NodePage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/pools',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/pools.tsx'), 'PoolsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/domains',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/domains.tsx'), 'DomainsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/packets',
    validateSearch: packetSearch,
    component: lazyRouteComponent(() => import('./pages/packets.tsx'), 'PacketsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/events',
    validateSearch: (
      search: Record<string, unknown>,
    ): { kind?: string; object?: string; q?: string; before?: number } => {
      const [kind, object, q] = [word(search.kind), word(search.object), word(search.q)];
      return { ...eventsSearch(search), ...(kind && { kind }), ...(object && { object }), ...(q && { q }) };
    },
    component: lazyRouteComponent(() => import('./pages/events.tsx'), 'EventsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/findings',
    validateSearch: (search: Record<string, unknown>): { from?: string; to?: string; id?: string } => {
      const [from, to, id] = [word(search.from), word(search.to), word(search.id)];
      return { ...(from && { from }), ...(to && { to }), ...(id && { id }) };
    },
    component: lazyRouteComponent(() => import('./pages/findings.tsx'), 'FindingsPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/audit',
    validateSearch: (search: Record<string, unknown>): { q?: string; since?: string; until?: string } => {
      const [q, since, until] = [word(search.q), word(search.since), word(search.until)];
      return { ...(q && { q }), ...(since && { since }), ...(until && { until }) };
    },
    component: lazyRouteComponent(() => import('./pages/audit.tsx'), 'AuditPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/account',
    component: lazyRouteComponent(() => import('./pages/account.tsx'), 'AccountPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/users',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/users.tsx'), 'UsersPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/tokens',
    validateSearch: listSearch,
    component: lazyRouteComponent(() => import('./pages/tokens.tsx'), 'TokensPage'),
  }),
  createRoute({
    getParentRoute: under,
    path: '/device',
    component: lazyRouteComponent(() => import('./pages/device.tsx'), 'DevicePage'),
  }),
] as const;

export const router = createRouter({
  routeTree: root.addChildren([...routes]),
  defaultPreload: 'intent',
  defaultErrorComponent: ({ error }) => <FailedPage error={error as Error} />,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
