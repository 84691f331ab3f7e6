/**
 * The form of a policy in four steps. What is typed stays through every step, refusal and conflict.
 */
import { Button, Stepper } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { ProblemError } from '../api/client.ts';
import { useTitle } from '../data/title.ts';
import { readAgain } from '../data/updates.ts';
import { Mark, Said } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';
import { type Base, type Checks, isConflict, save, useChecks } from './checks.ts';
import { Conflict } from './conflict.tsx';
import { CopiesStep } from './copies-step.tsx';
import { DestinationStep } from './destination-step.tsx';
import { type Draft, fieldOf, STEP_OF } from './draft.ts';
import { ReviewStep } from './review-step.tsx';
import { SourcesStep } from './sources-step.tsx';
import type { StepProps } from './step.ts';

const t = text.form;
const LAST = 4;

export function PolicyForm(props: { title: string; initial: Draft; base?: Base }): ReactNode {
  const [base, setBase] = useState(props.base);
  const [draft, setDraft] = useState(props.initial);
  const change = (part: Partial<Draft>) => setDraft((now) => ({ ...now, ...part }));
  const checks = useChecks(draft, base);
  const navigate = useNavigate();
  const step = useSearch({ strict: false }).step ?? 1;
  const goTo = (to: number) => void navigate({ to: '.', search: (now: object) => ({ ...now, step: to }) as never });
  const submit = useMutation({
    mutationFn: () => save(draft, base, false),
    onSuccess: async ({ name }) => {
      readAgain(['policies']);
      await navigate({ to: '/policies/$name', params: { name } });
    },
  });
  useTitle(props.title);
  if (base && (checks.isConflict || isConflict(submit.error))) {
    return (
      <Conflict
        draft={draft}
        base={base}
        onResolved={(next, newBase) => {
          submit.reset();
          setDraft(next);
          setBase(newBase);
        }}
      />
    );
  }
  const shared: StepProps = { draft, change, checks, base };
  return (
    <>
      <h1>{props.title}</h1>
      <Stepper active={step - 1} onStepClick={(to) => goTo(to + 1)} size="xs" iconSize={24} allowNextStepsSelect>
        {t.steps.map((label, at) => (
          <Stepper.Step
            key={label}
            label={label}
            description={<StepSign at={at + 1} draft={draft} checks={checks} />}
          />
        ))}
      </Stepper>
      {step === 1 && <SourcesStep {...shared} />}
      {step === 2 && <DestinationStep {...shared} />}
      {step === 3 && <CopiesStep {...shared} />}
      {step === 4 && <ReviewStep {...shared} onGoTo={goTo} />}
      <div className="bar">
        {step > 1 && (
          <Button variant="default" onClick={() => goTo(step - 1)}>
            {text.common.back}
          </Button>
        )}
        {step < LAST && <Button onClick={() => goTo(step + 1)}>{text.common.next}</Button>}
        {step === LAST && (
          <Button
            onClick={() => submit.mutate()}
            loading={submit.isPending}
            disabled={!isComplete(draft, checks)}
            aria-describedby="verdict"
          >
            {base ? t.submitChange : t.submitCreate}
          </Button>
        )}
        <Verdict checks={checks} draft={draft} />
      </div>
      {submit.error instanceof ProblemError && <ProblemAlert error={submit.error} />}
      {!(submit.error instanceof ProblemError) && <ProblemAlert error={submit.error} />}
    </>
  );
}

/** True where the controller would take it. */
function isComplete(draft: Draft, { refusals, isPending, error }: Checks): boolean {
  return draft.destination !== '' && refusals.length === 0 && !isPending && !error;
}

/**
 * Whether a step has something to correct. Nobody is told off for what they have not come to yet.
 */
function StepSign({ at, draft, checks }: { at: number; draft: Draft; checks: Checks }): ReactNode {
  const isUntouched = (at === 1 && draft.sources.length === 0) || (at === 4 && draft.name === '');
  const isOpen = at === 2 && draft.destination === '';
  const bad = checks.refusals.some(({ field }) => STEP_OF[fieldOf(field) ?? 'name'] === at);
  return isUntouched || isOpen || !bad ? null : (
    <Mark tone="bad" sign="▲">
      {t.hasErrors}
    </Mark>
  );
}

/** What the controller says of the draft now. */
function Verdict({ checks, draft }: { checks: Checks; draft: Draft }): ReactNode {
  const { refusals, isPending, error } = checks;
  const isDone = isComplete(draft, checks);
  return (
    <span id="verdict" role="status">
      {isPending && <span className="quiet">{t.checking}</span>}
      {!isPending && error && (
        <>
          {t.unchecked} <Said>{error.message}</Said>
        </>
      )}
      {isDone && (
        <Mark tone="good" sign="✓">
          {t.accepted}
        </Mark>
      )}
      {!isPending && !error && draft.destination === '' && <span className="quiet">{t.noDestination}</span>}
      {!isPending && !error && draft.destination !== '' && refusals.length > 0 && (
        <Mark tone="bad" sign="▲">
          {t.refused(refusals.length)}
        </Mark>
      )}
    </span>
  );
}
