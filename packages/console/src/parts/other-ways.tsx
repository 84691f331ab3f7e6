/** Buttons of the sign-in page that lead to providers of single sign-on. */
import { Alert, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { beginAt, readWays } from '../api/sign-in.ts';
import type { Problem } from '../api/types.ts';
import { text } from '../text/index.ts';
import { Said } from './marks.tsx';

export function OtherWays(): ReactNode {
  // Read once: the controller tells a refusal once.
  const { data } = useQuery({ queryKey: ['sign-in'], queryFn: readWays, staleTime: Number.POSITIVE_INFINITY });
  const [begun, setBegun] = useState<string>();
  const [refusal, setRefusal] = useState<Problem | 'away'>();
  const begin = async (way: string) => {
    setBegun(way);
    setRefusal((await beginAt(way)) ?? 'away');
    setBegun(undefined);
  };
  const providers = data?.ways.filter(({ kind }) => kind === 'openid') ?? [];
  const directories = data?.ways.filter(({ kind }) => kind === 'directory') ?? [];
  if (providers.length + directories.length === 0) {
    return null;
  }
  return (
    <section className="panel" aria-label={text.otherWays.title}>
      <Refusal refusal={refusal ?? data?.refusal} />
      {providers.map(({ name, title }) => (
        <Button key={name} variant="default" loading={begun === name} onClick={() => void begin(name)}>
          {text.otherWays.by(title)}
        </Button>
      ))}
      {directories.length > 0 && <p>{text.otherWays.directories(directories.map(({ title }) => title).join(', '))}</p>}
    </section>
  );
}

function Refusal({ refusal }: { refusal: Problem | 'away' | undefined }): ReactNode {
  if (refusal === undefined) {
    return null;
  }
  if (refusal === 'away') {
    return (
      <Alert color="red" role="alert" title={text.problems.away}>
        {text.problems.awayRemedy}
      </Alert>
    );
  }
  return (
    <Alert color="red" role="alert" title={<Said>{refusal.title}</Said>}>
      <Said>{refusal.detail}</Said>
    </Alert>
  );
}
