/** The display filter: the controller checks it before it is used, and its reason stands here. */
import { Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useEffect, useState } from 'react';
import { answer, api, ProblemError } from '../api/client.ts';
import { refusalOf } from '../parts/dialog.tsx';
import { Said } from '../parts/marks.tsx';
import { text } from '../text/index.ts';

const t = text.packets;

export function DisplayFilter({ value, onFilter }: { value: string; onFilter(filter: string): void }): ReactNode {
  const [typed, setTyped] = useState(value);
  // The address was changed by something else: going back, a link, a field of a packet.
  useEffect(() => setTyped(value), [value]);
  const check = useMutation({
    mutationFn: (display: string) => answer(api.GET('/api/v1/looks/check', { params: { query: { display } } })),
    onSuccess: ({ display }, filter) => {
      if (display?.ok !== false) {
        onFilter(filter);
      }
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    check.mutate(typed.trim());
  };
  const isOther = typed.trim() !== check.variables;
  const wrong = isOther ? undefined : check.data?.display?.message;
  const refused = isOther || !(check.error instanceof ProblemError) ? undefined : refusalOf(check.error, 'display');
  return (
    <form className="bar" onSubmit={submit}>
      <TextInput
        type="search"
        w={280}
        aria-label={t.display}
        placeholder={t.displayHow}
        value={typed}
        onChange={({ currentTarget }) => setTyped(currentTarget.value)}
        error={wrong === undefined ? refused : <Said>{wrong}</Said>}
      />
      <Button type="submit" variant="default" loading={check.isPending}>
        {t.apply}
      </Button>
    </form>
  );
}
