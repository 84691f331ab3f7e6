/** All policies. */
import { Button } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useList } from '../data/lists.ts';
import { useTopic } from '../data/stream.ts';
import { Allowed } from '../parts/allowed.tsx';
import { ListPage, WordToggle } from '../parts/list-page.tsx';
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
      actions={
        <>
          <WordToggle label={text.approval.filter} word="consent:waits" search={search} />
          <NewPolicyButton />
        </>
      }
    />
  );
}

/** Leads to the form. */
export function NewPolicyButton(): ReactNode {
  return (
    <Allowed right="policy" label={text.policies.create}>
      <Button component={Link} to="/new-policy">
        {text.policies.create}
      </Button>
    </Allowed>
  );
}
