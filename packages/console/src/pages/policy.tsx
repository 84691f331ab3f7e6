/**
 * One policy: whether it is in force, what became of the packets, and which way the copies went.
 */
import { Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense } from 'react';
import { answer, api } from '../api/client.ts';
import type { Policy, PolicyStatus, PolicySummary } from '../api/types.ts';
import { ASKING, useLack } from '../data/rights.ts';
import { useTopic } from '../data/stream.ts';
import { useTitle } from '../data/title.ts';
import { AllowedLink } from '../parts/allowed.tsx';
import { EventPages } from '../parts/event-list.tsx';
import { Facts } from '../parts/facts.tsx';
import { Data, HealthMark, StateMark } from '../parts/marks.tsx';
import { EndsSoon } from '../parts/policy-columns.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ReasonList, WithReasons } from '../parts/reasons.tsx';
import { PolicyActions } from '../policy/actions.tsx';
import { ApprovalPanel } from '../policy/approval.tsx';
import { Books, CopyBooks } from '../policy/books.tsx';
import { Paths } from '../policy/paths.tsx';
import { SourcesTable } from '../policy/sources-table.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.policy;
/** Charts come with a library of their own: the page is there before them. */
const PolicyHistory = lazy(() => import('../policy/history.tsx').then((module) => ({ default: module.PolicyHistory })));

export function PolicyPage(): ReactNode {
  const { name } = useParams({ from: '/policies/$name' });
  const { tab = 'summary' } = useSearch({ from: '/policies/$name' });
  const navigate = useNavigate();
  useTitle(name);
  useTopic(`policy:${name}`);
  const path = { name };
  const policy = useQuery({
    queryKey: [`policy:${name}`, 'one'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/policies/{name}', { params: { path }, signal })),
  });
  // Who may read some of its sources reads these alone, and no status.
  const lack = useLack('read', `policy/${name}`);
  const status = useQuery({
    queryKey: [`policy:${name}`, 'status'],
    enabled: lack === undefined,
    queryFn: ({ signal }) => answer(api.GET('/api/v1/policies/{name}/status', { params: { path }, signal })),
  });
  const traffic = useTraffic(name);
  const isPart = lack !== undefined && lack !== ASKING;
  const state = status.data?.state ?? (isPart ? traffic.data?.state : undefined);
  return (
    <>
      <div className="bar">
        <h1 translate="no">{name}</h1>
        {state && <StateMark state={state} />}
        {traffic.data && (
          <WithReasons reasons={traffic.data.health.reasons} label={text.policies.healthReasons(name)}>
            <HealthMark health={traffic.data.health.state} />
          </WithReasons>
        )}
        {policy.data?.enabled && <EndsSoon at={policy.data.endsAt} />}
        {policy.data && <span className="quiet">{text.types[policy.data.type]}</span>}
        <span className="grow" />
        {policy.data && <PolicyActions policy={policy.data} />}
      </div>
      <ProblemAlert error={policy.error ?? status.error} />
      {policy.data && isPart && <p>{t.part}</p>}
      {policy.data && <ApprovalPanel policy={policy.data} />}
      {policy.data && (status.data || isPart) && (
        <Tabs
          value={tab}
          onChange={(to) =>
            void navigate({
              to: '.',
              search: ((now: object) => ({ ...now, before: undefined, tab: to ?? 'summary' })) as never,
            })
          }
          keepMounted={false}
        >
          <Tabs.List aria-label={t.tabsLabel}>
            <Tabs.Tab value="summary">{t.tabs.summary}</Tabs.Tab>
            <Tabs.Tab value="sources">{t.tabs.sources}</Tabs.Tab>
            <Tabs.Tab value="events">{t.tabs.events}</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="summary" pt="md">
            <Summary policy={policy.data} status={status.data} createdBy={traffic.data?.createdBy} />
          </Tabs.Panel>
          <Tabs.Panel value="sources" pt="md">
            <SourcesTable policy={name} />
          </Tabs.Panel>
          <Tabs.Panel value="events" pt="md">
            <AllowedLink right="audit" label={text.audit.ofPolicy}>
              <Link to="/audit" search={{ q: `resource:policies/${name}` }}>
                {text.audit.ofPolicy}
              </Link>
            </AllowedLink>
            <EventPages object={`policy/${name}`} />
          </Tabs.Panel>
        </Tabs>
      )}
    </>
  );
}

/** What becomes of the copies, as the list of policies has it. The stream keeps it up to date. */
function useTraffic(name: string) {
  return useQuery({
    queryKey: [`policy:${name}`, 'traffic'],
    queryFn: async ({ signal }): Promise<Pick<PolicySummary, 'state' | 'health' | 'rates' | 'createdBy'> | null> => {
      const query = { view: 'summary', filter: `"${name}"` } as const;
      const { items } = await answer(api.GET('/api/v1/policies', { params: { query }, signal }));
      return (items as PolicySummary[]).find((one) => one.name === name) ?? null;
    },
  });
}

interface SummaryProps {
  policy: Policy;
  /** Undefined: one may see a part of the policy alone. */
  status: PolicyStatus | undefined;
  /** Undefined: not known any more. */
  createdBy: string | undefined;
}

function Summary({ policy, status, createdBy }: SummaryProps): ReactNode {
  if (status === undefined) {
    return <PolicyFacts policy={policy} status={status} createdBy={createdBy} />;
  }
  return (
    <div className="panel">
      {status.reasons.length > 0 && <ReasonList reasons={status.reasons} />}
      <div className="grid-2">
        <PolicyFacts policy={policy} status={status} createdBy={createdBy} />
        <div className="panel">
          <Books policy={policy.name} totals={status.totals} />
          <CopyBooks policy={policy.name} paths={status.paths} />
        </div>
      </div>
      <Paths name={policy.name} />
      <Suspense fallback={<p className="quiet">{text.common.loading}</p>}>
        <PolicyHistory name={policy.name} />
      </Suspense>
    </div>
  );
}

function PolicyFacts({ policy, status, createdBy }: SummaryProps): ReactNode {
  const { description, direction, percent, vlanId, maxRate, allowFeedback, destination, createdAt, updatedAt, endsAt } =
    policy;
  return (
    <Facts
      facts={[
        [text.common.description, description !== '' && <Data key="v">{description}</Data>],
        [text.policies.sources, <Data key="v">{policy.sources.length}</Data>],
        [text.policies.destination, <Data key="v">{destination}</Data>],
        [t.direction, text.directions[direction]],
        [t.percent, <Data key="v">{`${percent} %`}</Data>],
        [t.vlanId, vlanId !== undefined && <Data key="v">{vlanId}</Data>],
        [t.maxRate, maxRate === undefined ? t.noBudget : <Data key="v">{`${maxRate} Mbit/s`}</Data>],
        [t.endsAt, endsAt !== undefined && <Data key="v">{dateTime(endsAt)}</Data>],
        [t.feedback, allowFeedback ? t.feedbackAllowed : undefined],
        [
          t.created,
          <span key="v">
            <Data>{dateTime(createdAt)}</Data> {createdBy !== undefined && t.by(createdBy)}
          </span>,
        ],
        [t.changed, updatedAt !== createdAt && <Data key="v">{dateTime(updatedAt)}</Data>],
        [text.policies.health, status?.stale ? t.stale : undefined],
      ]}
    />
  );
}
