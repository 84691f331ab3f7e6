/** A page that could not be shown: a part of it was not loaded, or has thrown. */
import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';

export function FailedPage({ error }: { error: Error }): ReactNode {
  return (
    <div className="panel">
      <h1>{text.problems.failed}</h1>
      <ProblemAlert error={error} />
      <div>
        <Button variant="default" onClick={() => location.reload()}>
          {text.common.again}
        </Button>
      </div>
    </div>
  );
}
