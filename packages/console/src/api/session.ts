/** Who is signed in: asked once at the start, kept for all pages. */
import type { Grant, Right } from '@mirrorplane/contract';
import { endSessionOf, restorePlace } from './sign-in.ts';
import type { Problem } from './types.ts';

const PATH = '/api/v1/session';

/** `asking`: not known yet. `in`: signed in. `out`: not. `away`: the controller did not answer. */
export interface SessionState {
  phase: 'asking' | 'in' | 'out' | 'away';
  /** Who it is, as the audit log has it, and by what. */
  name?: string;
  kind?: 'user' | 'apiToken' | 'fileToken';
  displayName?: string;
  /** Of a user: a local one has a password here. */
  source?: 'local' | 'oidc' | 'ldap';
  /** There are no rights until the password is changed. */
  mustChangePassword?: boolean;
  grants?: readonly Grant[];
  /** What one may do, somewhere at least. */
  rights?: readonly Right[];
  expiresAt?: string;
  csrfToken?: string;
  /** Why one is signed out: it ended, or a ticket or token was refused. */
  why?: 'ended' | Problem;
}

/** What one signs in with. `totp`: a code of an authenticator app. */
export type SignIn = { user: string; password: string; totp?: string } | { token: string };

type SessionAnswer = Omit<SessionState, 'phase' | 'why'>;

let state: SessionState = { phase: 'asking' };
const listeners = new Set<() => void>();

function become(next: SessionState): void {
  state = next;
  for (const listener of listeners) {
    listener();
  }
}

async function call(method: string, body?: object): Promise<void> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
  }
  if (state.csrfToken !== undefined) {
    headers['x-mirrorplane-csrf'] = state.csrfToken;
  }
  let response: Response;
  try {
    response = await fetch(PATH, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  } catch {
    become({ phase: 'away' });
    return;
  }
  if (response.ok) {
    become(method === 'DELETE' ? { phase: 'out' } : { phase: 'in', ...((await response.json()) as SessionAnswer) });
    return;
  }
  const problem = (await response.json().catch(() => undefined)) as Problem | undefined;
  const refused = body !== undefined && problem !== undefined;
  // A directory that does not answer is told, too; the controller is there.
  const isAway = response.status >= 500 && problem?.code !== 'SIGN_IN_AWAY';
  become(isAway ? { phase: 'away' } : { phase: 'out', ...(refused && { why: problem }) });
}

/**
 * The ticket of `#ticket=…`, taken out of the address bar before anybody can copy it from there.
 */
function takeTicket(): string | undefined {
  const ticket = new URLSearchParams(location.hash.slice(1)).get('ticket');
  if (ticket !== null) {
    history.replaceState(history.state, '', location.pathname + location.search);
  }
  return ticket ?? undefined;
}

/** The session of this browser. */
export const session = {
  state: (): SessionState => state,
  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  /** Asks whether there is one; with a ticket in the address, begins one. */
  start(): Promise<void> {
    restorePlace();
    const ticket = takeTicket();
    return ticket === undefined ? call('GET') : call('POST', { ticket });
  },
  signIn: (given: SignIn): Promise<void> => call('POST', given),
  /** Asks again who one is. */
  refresh: (): Promise<void> => call('GET'),
  async signOut(): Promise<void> {
    const { name } = state;
    await call('DELETE');
    if (name !== undefined) {
      await endSessionOf(name);
    }
  },
  /** The controller has answered 401. */
  ended(): void {
    if (state.phase === 'in') {
      become({ phase: 'out', why: 'ended' });
    }
  },
};
