/** Ends sessions whose certificate is not valid any more. TLS judges it only when a session begins. */
import type { Services } from '../services.ts';
import type { Session } from './session.ts';

/** Milliseconds between two looks at the ends of certificates. */
const LOOK_MS = 1000;

/** What is watched, and who is told. */
interface Watched {
  sessions(): Session[];
  /** The certificate of a session is not valid any more. */
  ended(session: Session, why: string): void;
  /** Other authorities are trusted than before. */
  changed(sessions: Session[]): void;
}

/** Watches the clock and the authority until the returned function is called. */
export function watchEnds(
  { authority, view, clock }: Pick<Services, 'authority' | 'view' | 'clock'>,
  { sessions, ended, changed }: Watched,
): () => void {
  const timer = setInterval(() => {
    const now = clock();
    for (const session of sessions()) {
      if (Date.parse(session.peer.certificateEndsAt) <= now) {
        ended(session, 'the certificate has ended: enrol again with a new join token');
      }
    }
  }, LOOK_MS).unref();
  const isTrusted = ({ node }: Session) => {
    const by = view.get('certificates', node)?.value.authority;
    return authority.trusted.some(({ fingerprint }) => fingerprint === by);
  };
  const stop = authority.onChange(() => {
    if (!authority.isRotating) {
      for (const session of sessions().filter((one) => !isTrusted(one))) {
        ended(session, 'the authority of the certificate is dropped: enrol again');
      }
    }
    changed(sessions());
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}
