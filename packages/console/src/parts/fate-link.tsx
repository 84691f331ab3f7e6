/** The way from a number to the packets behind it. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';

/** Which packets: those of a policy whose copies had this fate. */
export interface FateSearch {
  policy: string;
  /** As in a look: `copied`, `sampledOut`, `dropped:overBudget`. */
  fates: string;
}

export interface FateLinkProps extends FateSearch {
  children: ReactNode;
  className?: string | undefined;
  /** For who has a mouse alone: the same way is beside it, for all others. */
  isTwin?: boolean;
}

/** Leads to the page of packets. */
export function FateLink({ policy, fates, children, className, isTwin = false }: FateLinkProps): ReactNode {
  return (
    <Link
      to="/packets"
      search={{ policy, fates }}
      className={className}
      title={text.policy.showPackets}
      {...(isTwin && { tabIndex: -1, 'aria-hidden': true })}
    >
      {children}
    </Link>
  );
}
