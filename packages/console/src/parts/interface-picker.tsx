/** An interface out of all: typing asks the server for those that match. */
import { Autocomplete } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { text } from '../text/index.ts';
import { Data } from './marks.tsx';

/** Interfaces that are offered at a time: more are found by typing. */
const OFFERED = 20;

export function InterfacePicker(props: { label: string; value: string; onChange(value: string): void }): ReactNode {
  const { label, value, onChange } = props;
  const { data } = useQuery({
    queryKey: ['interfaces', 'offered', value],
    queryFn: ({ signal }) => {
      const filter = value === '' ? {} : { filter: `"${value.replaceAll('"', '')}"` };
      const query = { view: 'summary' as const, limit: OFFERED, ...filter };
      return answer(api.GET('/api/v1/interfaces', { params: { query }, signal }));
    },
    placeholderData: (before) => before,
  });
  return (
    <Autocomplete
      size="xs"
      w={260}
      label={label}
      placeholder={text.findings.interfaceHint}
      data={(data?.items ?? []).map(({ id }) => id)}
      limit={OFFERED}
      filter={({ options }) => options}
      renderOption={({ option }) => <Data>{option.value}</Data>}
      value={value}
      onChange={onChange}
      openOnFocus={false}
    />
  );
}
