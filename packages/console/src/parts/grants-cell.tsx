/** Grants in a table, as they are typed in. */
import type { Grant } from '@mirrorplane/contract';
import { formatGrants } from '@mirrorplane/contract/grant-text';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';
import { Data } from './marks.tsx';

export function GrantsCell({ grants }: { grants: readonly Grant[] }): ReactNode {
  return grants.length === 0 ? text.common.none : <Data>{formatGrants(grants)}</Data>;
}
