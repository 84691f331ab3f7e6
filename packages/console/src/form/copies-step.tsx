/** What is copied: direction, share, tag and budget. */
import { NumberInput, SegmentedControl, Slider, Switch } from '@mantine/core';
import type { ReactNode } from 'react';
import { Said } from '../parts/marks.tsx';
import { ranges } from '../text/format.ts';
import { text } from '../text/index.ts';
import { messageOf } from './checks.ts';
import { useInterface } from './destination-step.tsx';
import { DirectionDrawing } from './direction-drawing.tsx';
import type { StepProps } from './step.ts';

const t = text.form;
const DIRECTIONS = ['all', 'inbound', 'outbound'] as const;

const typed = (value: string | number): number | '' => (typeof value === 'number' ? value : '');

export function CopiesStep({ draft, change, checks }: StepProps): ReactNode {
  const destination = useInterface(draft.destination);
  const isEdge = destination?.kind === 'edge';
  const said = (field: Parameters<typeof messageOf>[1]) => {
    const message = messageOf(checks, field);
    return message && <Said>{message}</Said>;
  };
  const allowed = destination?.edge?.allowedVlans;
  return (
    <section className="grid-2" aria-label={t.steps[2]}>
      <div className="panel">
        <h2 id="direction">{t.direction}</h2>
        <SegmentedControl
          aria-labelledby="direction"
          value={draft.direction}
          onChange={(direction) => change({ direction })}
          data={DIRECTIONS.map((value) => ({ value, label: text.directions[value] }))}
        />
        <p className="quiet">{t.directionHow[draft.direction as 'all']}</p>
        <DirectionDrawing direction={draft.direction} />
      </div>
      <div className="panel">
        <NumberInput
          label={t.percent}
          description={t.percentHow}
          value={draft.percent}
          onChange={(value) => change({ percent: typed(value) })}
          error={said('percent')}
          suffix=" %"
          hideControls
        />
        <Slider
          value={draft.percent === '' ? 0 : draft.percent}
          onChange={(percent) => change({ percent })}
          label={null}
          thumbLabel={t.percent}
          min={0}
          max={100}
        />
        <NumberInput
          label={t.vlanId}
          description={isEdge ? `${t.vlanHow} ${allowed ? t.vlanAllowed(ranges(allowed)) : ''}` : t.vlanNone}
          value={draft.vlanId}
          onChange={(value) => change({ vlanId: typed(value) })}
          error={said('vlanId')}
          disabled={!isEdge && draft.vlanId === ''}
          allowDecimal={false}
          hideControls
        />
        <NumberInput
          label={t.maxRate}
          description={t.maxRateHow}
          value={draft.maxRate}
          onChange={(value) => change({ maxRate: typed(value) })}
          error={said('maxRate')}
          hideControls
        />
        {!isEdge && (
          <Switch
            label={t.feedback}
            description={t.feedbackHow}
            checked={draft.allowFeedback}
            onChange={({ currentTarget }) => change({ allowFeedback: currentTarget.checked })}
            error={said('allowFeedback')}
          />
        )}
      </div>
    </section>
  );
}
