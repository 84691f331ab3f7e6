/**
 * What needs a right. Without it, a grey control stands in its place, which says why: it is reached
 * by the keyboard, and readers read the reason with its name.
 */
import { Button, Tooltip } from '@mantine/core';
import type { Right } from '@mirrorplane/contract';
import { type ReactNode, useId } from 'react';
import { type About, useLack } from '../data/rights.ts';
import classes from './allowed.module.css';

interface AllowedProps {
  right: Right;
  /** What the right is needed for. Left out: anything at all. */
  about?: About;
  /** What the grey button is called: as the one in whose place it stands. */
  label: string;
  children: ReactNode;
}

/** A button for who may press it. */
export function Allowed({ right, about, label, children }: AllowedProps): ReactNode {
  return (
    <OrRefused label={label} why={useLack(right, about)}>
      {children}
    </OrRefused>
  );
}

/** A button; or, if there is a reason why not, one that does nothing, and says the reason. */
export function OrRefused(props: { label: string; why: string | undefined; children: ReactNode }): ReactNode {
  const { label, why, children } = props;
  const id = useId();
  if (why === undefined) {
    return children;
  }
  return (
    <Refused id={id} why={why}>
      <Button variant="default" data-disabled aria-disabled="true" aria-describedby={id}>
        {label}
      </Button>
    </Refused>
  );
}

/** A way to a page for who may use it. */
export function AllowedLink({ right, label, children }: Omit<AllowedProps, 'about'>): ReactNode {
  const lack = useLack(right);
  const id = useId();
  if (lack === undefined) {
    return children;
  }
  return (
    <Refused id={id} why={lack} isBlock>
      {/* biome-ignore lint/a11y/useSemanticElements: there is no address that one may go to */}
      <span role="link" className={classes.link} tabIndex={0} aria-disabled="true" aria-describedby={id}>
        {label}
      </span>
    </Refused>
  );
}

/** A page that one may not use: its title, and why. */
export function RefusedPage({ title, why }: { title: string; why: string }): ReactNode {
  return (
    <>
      <h1>{title}</h1>
      <p>{why}</p>
    </>
  );
}

/** What is on a page, or the reason where one may not use it. */
export function AllowedPart({ right, children }: Pick<AllowedProps, 'right' | 'children'>): ReactNode {
  const lack = useLack(right);
  return lack === undefined ? children : <p>{lack}</p>;
}

/** The reason is there for readers always, and for eyes while the pointer or the focus is here. */
function Refused(props: { id: string; why: string; isBlock?: boolean; children: ReactNode }): ReactNode {
  const { id, why, isBlock, children } = props;
  return (
    <Tooltip label={why} multiline maw={360} events={{ hover: true, focus: true, touch: true }}>
      <span className={isBlock ? classes.block : classes.inline}>
        {children}
        <span id={id} hidden>
          {why}
        </span>
      </span>
    </Tooltip>
  );
}
