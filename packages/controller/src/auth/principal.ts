/** Who is behind a request, and by which credential. */
import type { Grant } from '@mirrorplane/contract';

/** What a session, a ticket or something open belongs to: it ends when its owner is not valid any more. */
export type Owner =
  /** Digest of a token. */
  | { token: string }
  /** A user, with the stamp that the user had at that time. */
  | { user: string; stamp: string };

/** Somebody whom a credential has proven. */
export interface Principal {
  kind: 'user' | 'apiToken' | 'fileToken';
  /**
   * Name for the audit log and events: the user's, also by an API token. Whoever has it has one share
   * of what all share, as sessions.
   */
  name: string;
  /**
   * A person who has signed in, in a browser or with `mirrorplane login`: who may manage the own
   * account. Absent: a token for programs.
   */
  person?: { user: string; stamp: string };
  /** Name of the token, if it is one. */
  token?: string;
  grants: readonly Grant[];
  owner: Owner;
}
