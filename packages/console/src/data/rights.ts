/** What the person at this browser may do. */
import type { Right } from '@mirrorplane/contract';
import { useSyncExternalStore } from 'react';
import { session } from '../api/session.ts';

/**
 * Whether one has a right, somewhere at least. The controller decides in the end; this only hides
 * what it would refuse.
 */
export function useRight(right: Right): boolean {
  return useSyncExternalStore(session.subscribe, () => session.state().rights?.includes(right) === true);
}
