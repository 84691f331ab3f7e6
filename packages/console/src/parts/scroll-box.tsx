/** What may be wider than the window, scrolled alone. Keys scroll it, too, when it has the focus. */
import type { ReactNode } from 'react';
import classes from './event-list.module.css';

export function ScrollBox({ label, children }: { label: string; children: ReactNode }): ReactNode {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table is scrolled by its keys
    <section className={classes.box} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
