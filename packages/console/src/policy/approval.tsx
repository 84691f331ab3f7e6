/** What consent a policy has, and what it waits for. */
import { Alert, Button } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { Policy } from '../api/types.ts';
import { useApprovals } from '../data/approvals.ts';
import { queryClient } from '../data/query-client.ts';
import { useRight } from '../data/rights.ts';
import { OrRefused } from '../parts/allowed.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.approval;

/** Nothing where no consent was needed. */
export function ApprovalPanel({ policy }: { policy: Policy }): ReactNode {
  const { approval, change } = policy;
  const asked = change ?? approval;
  if (!asked) {
    return null;
  }
  const waits = change !== undefined || approval?.state === 'pending';
  const title = change ? t.changeWaits : t.states[approval!.state];
  return (
    <Alert color={waits ? 'yellow' : 'gray'} title={title}>
      <p>{t.asked(asked.requestedBy, dateTime(asked.requestedAt))}</p>
      {asked.needs.map(({ right, interfaces }) => (
        <p key={right}>{t.needs[right](interfaces.join(', '))}</p>
      ))}
      {asked.given.map(({ right, by, at, interfaces }) => (
        <p key={`${right} ${by} ${at}`}>{t.given(by, dateTime(at), interfaces.join(', '))}</p>
      ))}
      {approval?.state === 'rejected' && <p>{t.rejectedBy(approval.rejectedBy ?? '', approval.reason ?? '')}</p>}
      <Decision policy={policy} waits={waits} />
    </Alert>
  );
}

interface Asked {
  policy: Policy;
  waits: boolean;
}

/** Approve and reject. The controller has said whether the consent that is missing can be given here. */
function Decision({ policy: { name, revision, approval, change }, waits }: Asked): ReactNode {
  const waiting = useApprovals(name).data?.items[0];
  // Each owner of an end may say no. Of which ends one is, the controller decides.
  const isOwner = [useRight('policy'), useRight('mirror'), useRight('send')].includes(true);
  const decide = useMutation({
    mutationFn: (verb: 'approve' | 'reject' | 'withdraw') => {
      const params = { path: { name }, header: { 'If-Match': `"${revision}"` } };
      if (verb === 'approve') {
        return answer(api.POST('/api/v1/policies/{name}/approve', { params, body: {} }));
      }
      // Consent is withdrawn from whatever the policy is by then, so that changes cannot outrun it.
      return verb === 'withdraw'
        ? answer(api.POST('/api/v1/policies/{name}/reject', { params: { path: { name } }, body: {} }))
        : answer(api.POST('/api/v1/policies/{name}/reject', { params, body: change ? { only: 'change' } : {} }));
    },
    onSettled: () => queryClient.invalidateQueries(),
  });
  const refusals = [
    ...(waits ? [{ verb: 'reject', label: change ? t.rejectChange : t.reject } as const] : []),
    ...(approval?.state === 'approved' ? [{ verb: 'withdraw', label: t.withdraw } as const] : []),
  ];
  return (
    <>
      <ProblemAlert error={decide.error} />
      <div className="bar">
        {waits && (
          <OrRefused
            label={t.approve}
            why={waiting?.yours === false ? t.notYours(waiting.rights.join(', ')) : undefined}
          >
            <Button loading={decide.isPending} onClick={() => decide.mutate('approve')}>
              {t.approve}
            </Button>
          </OrRefused>
        )}
        {refusals.map(({ verb, label }) => (
          <OrRefused key={verb} label={label} why={isOwner ? undefined : t.notOwner}>
            <Button variant="default" loading={decide.isPending} onClick={() => decide.mutate(verb)}>
              {label}
            </Button>
          </OrRefused>
        ))}
      </div>
    </>
  );
}
