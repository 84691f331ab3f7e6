/** Signing in elsewhere: the ways, how one begins, and the way back. */
import type { Problem, SignInWays } from './types.ts';

const PATH = '/api/v1/sign-in';
/** Where somebody was before, for this tab alone. */
const PLACE = 'mirrorplane.place';

/** The ways to sign in, and why the last sign-in was refused. None if the controller does not answer. */
export async function readWays(): Promise<SignInWays> {
  try {
    const response = await fetch(PATH, { headers: { accept: 'application/json' } });
    return response.ok ? ((await response.json()) as SignInWays) : { ways: [] };
  } catch {
    return { ways: [] };
  }
}

/** Leaves for a provider. Returns why that cannot be; undefined: the controller does not answer. */
export async function beginAt(way: string): Promise<Problem | undefined> {
  const response = await fetch(`${PATH}/${encodeURIComponent(way)}`, { method: 'POST' }).catch(() => undefined);
  if (!response?.ok) {
    return (await response?.json().catch(() => undefined)) as Problem | undefined;
  }
  const { location: provider } = (await response.json()) as { location: string };
  sessionStorage.setItem(PLACE, location.pathname + location.search);
  location.assign(provider);
  // The page stays as it is until the provider's has come.
  return new Promise(() => undefined);
}

/** Goes to where somebody was before they left for a provider. */
export function restorePlace(): void {
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (place !== null && location.pathname === '/') {
    history.replaceState(history.state, '', place);
  }
}

/** Goes on to sign out at the provider of a user, where that is wanted. */
export async function endSessionOf(user: string): Promise<void> {
  const { ways } = await readWays();
  const address = ways.find(({ name }) => user.startsWith(`${name}:`))?.endSession;
  if (address !== undefined) {
    location.assign(address);
  }
}
