/** What the person at this browser may do, and why not. The controller decides in the end. */
import type { Grant, Right } from '@mirrorplane/contract';
import { type AccessObject, allows, allowsEverywhere } from '@mirrorplane/contract/allows';
import { rolesWith } from '@mirrorplane/contract/roles';
import { useQuery } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { answer, api } from '../api/client.ts';
import { session } from '../api/session.ts';
import { text } from '../text/index.ts';

const t = text.rights;
const NONE: readonly Grant[] = [];

/** What stands in place of a reason until the controller has answered. */
export const ASKING = t.asking;

/**
 * What a right is needed for: what scopes can tell apart of it, or the name of a thing, of which the
 * controller is asked. For the rows of a list it is the former.
 */
export type About = AccessObject | `policy/${string}` | `interface/${string}`;

/** Whether one has a right, somewhere at least. */
export function useRight(right: Right): boolean {
  return useSyncExternalStore(session.subscribe, () => session.state().rights?.includes(right) === true);
}

function useGrants(): readonly Grant[] {
  return useSyncExternalStore(session.subscribe, () => session.state().grants ?? NONE);
}

/**
 * Why one may not do something: the right that is missing, and who can grant it. Undefined: one may.
 * @param about Left out: anything at all
 */
export function useLack(right: Right, about?: About): string | undefined {
  const somewhere = useRight(right);
  const grants = useGrants();
  const isScoped = somewhere && about !== undefined && !allowsEverywhere(grants, right);
  const asked = isScoped && typeof about === 'string' ? about : undefined;
  const { data, isPending } = useQuery({
    queryKey: ['can-i', right, asked],
    enabled: asked !== undefined,
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/access/can-i', { params: { query: { right, object: asked! } }, signal })),
  });
  if (!somewhere) {
    return t.missing(right, rolesWith(right).join(', '));
  }
  if (!isScoped) {
    return undefined;
  }
  if (typeof about === 'object') {
    return allows(grants, right, about) ? undefined : t.outside(right, t.thisOne);
  }
  if (isPending) {
    return ASKING;
  }
  // Where the controller did not answer, it is left to decide.
  return data?.allowed === false ? t.outside(right, asked!) : undefined;
}
