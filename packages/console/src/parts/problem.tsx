/** What went wrong, where it happened: it stays until it is over. */
import { Alert } from '@mantine/core';
import type { ReactNode } from 'react';
import { NoAnswerError, ProblemError } from '../api/client.ts';
import { text } from '../text/index.ts';
import { Data, Said } from './marks.tsx';

export function ProblemAlert({ error }: { error: Error | null | undefined }): ReactNode {
  if (!error) {
    return null;
  }
  if (error instanceof ProblemError) {
    const { title, detail, code, errors } = error.problem;
    return (
      <Alert color="red" title={<Said>{title}</Said>} role="alert">
        <Said>{detail}</Said>
        {(errors?.length ?? 0) > 1 && (
          <ul>
            {errors!.map(({ field, message }) => (
              <li key={`${field} ${message}`}>
                <Data>{field}</Data>: <Said>{message}</Said>
              </li>
            ))}
          </ul>
        )}{' '}
        <code translate="no">{code}</code>
      </Alert>
    );
  }
  const isAway = error instanceof NoAnswerError;
  return (
    <Alert color="red" title={isAway ? text.problems.away : text.problems.failed} role="alert">
      {isAway ? text.problems.awayRemedy : <Said>{error.message}</Said>}
    </Alert>
  );
}
