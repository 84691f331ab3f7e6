/** A table whose rows are written out: for lists that are short, and need no sorting. */
import type { ReactNode } from 'react';
import classes from './event-list.module.css';

export interface RowTableProps {
  /** Heads of the columns. They differ from each other. */
  heads: readonly string[];
  /** The rows. */
  children: ReactNode;
}

export function RowTable({ heads, children }: RowTableProps): ReactNode {
  return (
    <table className={classes.events}>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}
