/**
 * The console, for who is signed in; the sign-in page for others. The address stays as it is
 * meanwhile.
 */
import { RouterProvider } from '@tanstack/react-router';
import { type ReactNode, useEffect, useSyncExternalStore } from 'react';
import { session } from './api/session.ts';
import { queryClient } from './data/query-client.ts';
import { startStream } from './data/stream.ts';
import { startUpdates } from './data/updates.ts';
import { MustChangePage } from './pages/must-change.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { router } from './router.tsx';
import { text } from './text/index.ts';

export function App(): ReactNode {
  const { phase, mustChangePassword } = useSyncExternalStore(session.subscribe, session.state);
  if (phase === 'in') {
    return mustChangePassword ? <MustChangePage /> : <SignedIn />;
  }
  if (phase === 'asking') {
    return <p className="page-message">{text.session.asking}</p>;
  }
  return <SignInPage />;
}

function SignedIn(): ReactNode {
  useEffect(() => {
    const stops = [startUpdates(), startStream()];
    return () => {
      for (const stop of stops) {
        stop();
      }
      // What one person has seen is nothing for the next.
      queryClient.clear();
    };
  }, []);
  return <RouterProvider router={router} />;
}
