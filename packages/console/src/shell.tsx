/**
 * What is around every page: the menu, whether what is shown is fresh, the look, and signing out.
 */
import { ActionIcon, Button, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import type { Right } from '@mirrorplane/contract';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useSyncExternalStore } from 'react';
import { session } from './api/session.ts';
import { useNow } from './data/clock.ts';
import { useRight } from './data/rights.ts';
import { useStreamState, useTopic } from './data/stream.ts';
import { AllowedLink, AllowedPart } from './parts/allowed.tsx';
import { Mark } from './parts/marks.tsx';
import { clockTime } from './text/format.ts';
import { text } from './text/index.ts';

/** Pages, and the right that one needs for each. */
const MENU: readonly [to: string, label: string, right: Right][] = [
  ['/', text.menu.overview, 'read'],
  ['/policies', text.menu.policies, 'read'],
  ['/interfaces', text.menu.interfaces, 'read'],
  ['/destinations', text.menu.destinations, 'read'],
  ['/nodes', text.menu.nodes, 'read'],
  ['/pools', text.menu.pools, 'read'],
  ['/domains', text.menu.domains, 'read'],
  ['/packets', text.menu.packets, 'packets'],
  ['/events', text.menu.events, 'read'],
  ['/findings', text.menu.findings, 'packets'],
  ['/audit', text.menu.audit, 'audit'],
  ['/users', text.menu.users, 'access'],
];
/** Pages of everybody who has signed in. */
const OWN = [
  ['/tokens', text.menu.tokens],
  ['/account', text.menu.account],
] as const;
const OWN_PATHS: ReadonlySet<string> = new Set(['/device', ...OWN.map(([to]) => to)]);

export function Shell(): ReactNode {
  // On every page: whether what is shown is fresh has to be known on every page.
  const mayRead = useRight('read');
  useTopic(mayRead ? 'events' : undefined);
  const mayChange = useRight('policy');
  const { name } = useSyncExternalStore(session.subscribe, session.state);
  return (
    <div className="frame">
      <header>
        <strong translate="no">Mirrorplane</strong>
        {mayRead && <Freshness />}
        <ServerClock />
        <span className="quiet" translate="no">
          {name}
        </span>
        <span className="quiet">{mayChange ? text.session.admin : text.session.reader}</span>
        <SchemeButton />
        <Button variant="default" onClick={() => void session.signOut()}>
          {text.session.signOut}
        </Button>
      </header>
      <nav aria-label={text.menu.label}>
        {MENU.map(([to, label, right]) => (
          <AllowedLink key={to} right={right} label={label}>
            <MenuLink to={to} label={label} />
          </AllowedLink>
        ))}
        {OWN.map(([to, label]) => (
          <MenuLink key={to} to={to} label={label} />
        ))}
      </nav>
      <PageArea />
    </div>
  );
}

function MenuLink({ to, label }: { to: string; label: string }): ReactNode {
  return (
    <Link to={to} activeOptions={{ exact: to === '/', includeSearch: false }}>
      {label}
    </Link>
  );
}

/** A page that was gone to is said by readers: its heading gets the focus. */
function PageArea(): ReactNode {
  const pathname = useRouterState({ select: ({ location }) => location.pathname });
  const main = useRef<HTMLElement>(null);
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current !== pathname) {
      before.current = pathname;
      main.current?.focus();
    }
  }, [pathname]);
  return (
    <main ref={main} tabIndex={-1} style={{ outline: 'none' }}>
      {OWN_PATHS.has(pathname) ? (
        <Outlet />
      ) : (
        <AllowedPart right="read">
          <Outlet />
        </AllowedPart>
      )}
    </main>
  );
}

/** Whether what is shown is what is. */
function Freshness(): ReactNode {
  const { phase, since } = useStreamState();
  const at = since === undefined ? undefined : clockTime(since);
  return (
    <span role="status" data-stream={phase}>
      {phase === 'live' && (
        <Mark tone="good" sign="●">
          {text.stream.live}
        </Mark>
      )}
      {phase === 'connecting' && (
        <Mark tone="calm" sign="◔">
          {text.stream.connecting}
        </Mark>
      )}
      {phase === 'stale' && (
        <Mark tone="bad" sign="✕">
          {at === undefined ? text.stream.never : text.stream.stale(at)}
        </Mark>
      )}
      {phase === 'paused' && (
        <Mark tone="calm" sign="◔">
          {text.stream.paused(at ?? '')}
        </Mark>
      )}
    </span>
  );
}

function ServerClock(): ReactNode {
  const now = useNow();
  return (
    <span className="quiet number" title={text.stream.clock} data-clock translate="no">
      {clockTime(now)} UTC
    </span>
  );
}

function SchemeButton(): ReactNode {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  return (
    <ActionIcon
      variant="default"
      aria-label={scheme === 'dark' ? text.menu.light : text.menu.dark}
      onClick={() => setColorScheme(scheme === 'dark' ? 'light' : 'dark')}
    >
      <span aria-hidden="true">{scheme === 'dark' ? '☀' : '☾'}</span>
    </ActionIcon>
  );
}
