/** The state of the chain of the audit log: up to which entry it was checked, and what was done to it. */
import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { AuditChain } from '../api/types.ts';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Mark } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';

const t = text.audit.chain;
const KEY = ['audit-chain'];

export function AuditChainState(): ReactNode {
  const client = useQueryClient();
  const chain = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => answer(api.GET('/api/v1/audit/chain', { signal })),
  });
  const check = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/audit/check')),
    onSuccess: (state) => client.setQueryData(KEY, state),
  });
  return (
    <>
      <div className="bar">
        {chain.data && <State chain={chain.data} />}
        <Button variant="default" size="xs" disabled={check.isPending} onClick={() => check.mutate()}>
          {check.isPending ? t.checking : t.check}
        </Button>
        <Button variant="default" size="xs" component="a" href="/api/v1/audit/export" download="audit.jsonl">
          {t.export}
        </Button>
      </div>
      <ProblemAlert error={chain.error ?? check.error} />
    </>
  );
}

function State({ chain: { first, last, olderElsewhere, unsigned, checked } }: { chain: AuditChain }): ReactNode {
  const older = olderElsewhere ? ` ${t.olderElsewhere(first)}` : '';
  const signed = (
    <span className="quiet">
      {t.signed(last - unsigned, last)}
      {older}
    </span>
  );
  if (!checked) {
    return (
      <>
        <Mark tone="quiet" sign="–">
          {t.unchecked}
        </Mark>
        {signed}
      </>
    );
  }
  const at = dateTime(checked.at);
  return checked.fault ? (
    <Mark tone="bad" sign="✕">
      {t.fault(checked.fault.message, at)}
    </Mark>
  ) : (
    <>
      <Mark tone="good" sign="✓">
        {t.good(checked.upTo, at)}
      </Mark>
      {signed}
    </>
  );
}
