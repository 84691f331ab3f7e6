/**
 * Reasons with what to do: reached by focus and Enter as well as by a click, and never by hovering
 * alone.
 */
import { Button, Popover, UnstyledButton } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import type { Reason } from '../api/types.ts';
import { text } from '../text/index.ts';
import { Data, Said } from './marks.tsx';
import classes from './reasons.module.css';

/** Reasons that are shown before one asks for the others. */
const SHOWN = 4;

/** Reasons, one below the other. */
export function ReasonList({ reasons }: { reasons: readonly Reason[] }): ReactNode {
  const [isWhole, setWhole] = useState(reasons.length <= SHOWN + 1);
  return (
    <ul className={classes.list}>
      {(isWhole ? reasons : reasons.slice(0, SHOWN)).map((reason) => (
        <li key={`${reason.code} ${reason.interface ?? ''} ${reason.node ?? ''} ${reason.message}`}>
          <div>
            <Said>{reason.message}</Said>
          </div>
          {reason.remedy && (
            <div className="quiet">
              {text.reasons.remedy} <Said>{reason.remedy}</Said>
            </div>
          )}
          <code translate="no">{reason.code}</code>
          {reason.node !== undefined && (
            <span className="quiet">
              {' '}
              {text.reasons.node} <Data>{reason.node}</Data>
            </span>
          )}
        </li>
      ))}
      {!isWhole && (
        <li>
          <Button variant="default" onClick={() => setWhole(true)}>
            {text.reasons.all(reasons.length)}
          </Button>
        </li>
      )}
    </ul>
  );
}

/** What is shown, and behind it the reasons. Without reasons it is only shown. */
export function WithReasons(props: { reasons: readonly Reason[]; label: string; children: ReactNode }): ReactNode {
  const { reasons, label, children } = props;
  if (reasons.length === 0) {
    return children;
  }
  return (
    <Popover width={420} position="bottom-start" trapFocus returnFocus>
      <Popover.Target>
        {/* What is seen is part of the name, so that it can be said to press it. */}
        <UnstyledButton className={classes.target} fz="inherit">
          {children} <span className="hidden-text">{label}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown aria-label={label}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long list is scrolled by its keys */}
        <section className={classes.box} tabIndex={0} aria-label={label}>
          <ReasonList reasons={reasons} />
        </section>
      </Popover.Dropdown>
    </Popover>
  );
}
