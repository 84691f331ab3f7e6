/**
 * The last look: name, what changes, what the controller thinks of it, and the same for other
 * tools.
 */
import { Alert, Anchor, Switch, Tabs, Textarea, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { CodeBlock } from '../parts/code-block.tsx';
import { Said } from '../parts/marks.tsx';
import { text } from '../text/index.ts';
import { messageOf } from './checks.ts';
import { Changes } from './difference.tsx';
import { applyCommand, callOf, createCommand, EMPTY, fieldOf, STEP_OF, yamlOf } from './draft.ts';
import { ForecastPanel } from './forecast.tsx';
import type { StepProps } from './step.ts';

const t = text.form;

export function ReviewStep(props: StepProps & { onGoTo(step: number): void }): ReactNode {
  const { draft, change, checks, base } = props;
  const nameError = draft.name === '' ? undefined : messageOf(checks, 'name');
  return (
    <div className="grid-2">
      <div className="panel">
        <TextInput
          label={t.name}
          description={base ? t.nameFixed : t.nameHow}
          value={draft.name}
          readOnly={base !== undefined}
          onChange={({ currentTarget }) => change({ name: currentTarget.value })}
          error={nameError && <Said>{nameError}</Said>}
          required
        />
        <Textarea
          label={text.common.description}
          description={t.descriptionHow}
          value={draft.description}
          onChange={({ currentTarget }) => change({ description: currentTarget.value })}
          maxLength={1024}
          rows={2}
        />
        <TextInput
          label={t.fields.endsAt}
          description={t.endsAtHow}
          value={draft.endsAt}
          onChange={({ currentTarget }) => change({ endsAt: currentTarget.value.trim() })}
        />
        <Switch
          label={t.enabled}
          checked={draft.enabled}
          onChange={({ currentTarget }) => change({ enabled: currentTarget.checked })}
        />
        <Refusals {...props} />
        {checks.warnings.length > 0 && (
          <Alert color="yellow" title={t.warnings}>
            {checks.warnings.map((warning) => (
              <p key={warning}>
                <Said>{warning}</Said>
              </p>
            ))}
          </Alert>
        )}
        <h2>{t.difference}</h2>
        <Changes before={base?.draft ?? EMPTY} after={draft} />
      </div>
      <div>
        <ForecastPanel draft={draft} />
        <SameAs {...props} />
      </div>
    </div>
  );
}

/** All that is refused, each with the way to its step. */
function Refusals({ checks: { refusals }, draft, onGoTo }: StepProps & { onGoTo(step: number): void }): ReactNode {
  const others = refusals.filter(({ field }) => fieldOf(field) !== 'name' || draft.name !== '');
  if (others.length === 0) {
    return null;
  }
  return (
    <Alert color="red" title={t.refused(others.length)}>
      <ul>
        {others.slice(0, 20).map(({ field, message }) => {
          const step = STEP_OF[fieldOf(field) ?? 'name'];
          return (
            <li key={`${field} ${message}`}>
              <Said>{message}</Said>{' '}
              {step < 4 && (
                <Anchor component="button" type="button" fz="inherit" onClick={() => onGoTo(step)}>
                  {t.goTo(t.steps[step - 1]!)}
                </Anchor>
              )}
            </li>
          );
        })}
      </ul>
    </Alert>
  );
}

/** The same as a document, as a command, and as a call of the API. */
function SameAs({ draft, base }: StepProps): ReactNode {
  const command = base ? applyCommand(draft) : createCommand(draft);
  return (
    <section className="panel" aria-label={t.same}>
      <h2>{t.same}</h2>
      <Tabs defaultValue="yaml" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="yaml">{t.yaml}</Tabs.Tab>
          <Tabs.Tab value="cli">{t.command}</Tabs.Tab>
          <Tabs.Tab value="api">{t.call}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="yaml">
          <CodeBlock label={t.yaml} code={yamlOf(draft)} />
        </Tabs.Panel>
        <Tabs.Panel value="cli">
          <CodeBlock label={t.command} code={command} />
        </Tabs.Panel>
        <Tabs.Panel value="api">
          <CodeBlock label={t.call} code={callOf(draft, base?.revision)} />
        </Tabs.Panel>
      </Tabs>
    </section>
  );
}
