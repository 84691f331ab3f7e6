/** What the person at this browser may do. */
import { useSyncExternalStore } from 'react';
import { session } from '../api/session.ts';

/**
 * Whether changes are allowed. The controller decides in the end; this only hides what it would
 * refuse.
 */
export function useIsAdmin(): boolean {
  return useSyncExternalStore(session.subscribe, () => session.state().rights === 'admin');
}
