/** All policies. */
import { Button } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useList } from '../data/lists.ts';
import { useRight } from '../data/rights.ts';
import { useTopic } from '../data/stream.ts';
import { ListPage } from '../parts/list-page.tsx';
import { POLICY_COLUMNS } from '../parts/policy-columns.tsx';
import { text } from '../text/index.ts';

export function PoliciesPage(): ReactNode {
  const search = useSearch({ from: '/policies' });
  const navigate = useNavigate();
  useTopic('policies');
  const list = useList('policies', { sort: search.sort, filter: search.q });
  return (
    <ListPage
      title={text.menu.policies}
      list={list}
      search={search}
      filterHint={text.policies.filterHint}
      none={text.policies.none}
      columns={POLICY_COLUMNS}
      idOf={({ name }) => name}
      onOpen={({ name }) => void navigate({ to: '/policies/$name', params: { name } })}
      actions={<NewPolicyButton />}
    />
  );
}

/** Leads to the form. Who may not write is told why. */
export function NewPolicyButton(): ReactNode {
  const isAllowed = useRight('policy');
  if (!isAllowed) {
    return <span className="quiet">{text.policies.readOnly}</span>;
  }
  return (
    <Button component={Link} to="/new-policy">
      {text.policies.create}
    </Button>
  );
}
