/**
 * A name out of a short list of the server: nodes, pools, domains, policies. Typing asks the server for those
 * that match.
 */
import { Autocomplete } from '@mantine/core';
import type { ReactNode } from 'react';
import { useList } from '../data/lists.ts';
import { Data } from './marks.tsx';

/** Names that are offered at a time: more are found by typing. */
const OFFERED = 50;

export function NamePicker(props: {
  list: 'nodes' | 'pools' | 'domains' | 'policies';
  label: string;
  value: string;
  onChange(value: string): void;
  error?: ReactNode;
}): ReactNode {
  const { list, label, value, onChange, error } = props;
  const { rows } = useList(list, { sort: 'name' });
  return (
    <Autocomplete
      size="xs"
      label={label}
      data={rows.map(({ name }) => name)}
      limit={OFFERED}
      value={value}
      onChange={onChange}
      error={error}
      openOnFocus={false}
      renderOption={({ option }) => <Data>{option.value}</Data>}
    />
  );
}
