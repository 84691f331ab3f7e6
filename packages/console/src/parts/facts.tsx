/** Facts of one thing: a name and a value a line. */
import type { ReactNode } from 'react';

/** A line without a value is left out. */
export function Facts({ facts }: { facts: readonly (readonly [label: string, value: ReactNode])[] }): ReactNode {
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== null && value !== false && value !== '')
        .map(([label, value]) => (
          <FactLine key={label} label={label} value={value} />
        ))}
    </dl>
  );
}

function FactLine({ label, value }: { label: string; value: ReactNode }): ReactNode {
  return (
    <>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </>
  );
}
