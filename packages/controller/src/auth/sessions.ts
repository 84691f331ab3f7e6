/**
 * Sessions: browsers that have signed in. A session is a cookie with a secret, of which the
 * controller keeps the hash; they are on the disk too, so that a restart signs nobody out.
 */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Coalesced, replaceFile } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import * as z from 'zod';
import { newSecret, sha256 } from './api-tokens.ts';
import { givesWay } from './fair-share.ts';
import type { Owner } from './principal.ts';

/** Milliseconds after which a session ends, and below it after which an unused session ends. */
export const SESSION_MS = 12 * 60 * 60 * 1000;
export const IDLE_MS = 2 * 60 * 60 * 1000;
/**
 * Sessions at a time, of one user or token and of all. One more ends the own one that was not used
 * for the longest time, or that of who has most of them.
 */
export const SESSION_PLACES = { each: 16, total: 1024 };
/**
 * Milliseconds between two looks for sessions that are over, and between two writes of when each
 * was used.
 */
const SWEEP_MS = 30_000;

const Session = z.object({
  /** SHA-256 of the secret in the cookie. */
  id: z.string(),
  /** Who has signed in, or with which token. */
  owner: z.union([z.strictObject({ token: z.string() }), z.strictObject({ user: z.string(), stamp: z.string() })]),
  /** Milliseconds since 1970. */
  createdAt: z.number(),
  usedAt: z.number(),
});
export type Session = Readonly<z.infer<typeof Session>>;

export interface SessionsOptions {
  /** Where they are kept. */
  file: string;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** Whether the owner is still who has signed in. */
  isValid: (owner: Owner) => boolean;
  /** Who has a share of the sessions: the user, also of a token. Undefined: not valid. */
  holderOf: (owner: Owner) => string | undefined;
  log: Logger;
  /** Keeps them for other controllers, before they are on the disk. @throws what the store throws */
  copy?: ((sessions: readonly Session[]) => Promise<void>) | undefined;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, z.infer<typeof Session>>();
  /** What is open on behalf of a session, by its id: it is ended with the session. */
  readonly #held = new Map<string, Set<() => void>>();
  readonly #saving = new Coalesced(() => this.#save());
  readonly #sweeping: NodeJS.Timeout;
  #changed = false;

  /** Reads what was kept. Sessions of an owner that is not valid any more are gone. */
  constructor(options: SessionsOptions) {
    this.#options = options;
    for (const session of readSessions(options)) {
      if (options.isValid(session.owner)) {
        this.#sessions.set(session.id, session);
      }
    }
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /**
   * Begins a session. Resolves with the secret for the cookie when the session is on the disk.
   * @throws what the store throws: there is no session then
   */
  async begin(owner: Owner): Promise<{ secret: string; session: Session }> {
    this.#sweep();
    const secret = newSecret();
    const now = this.#options.clock();
    const session = { id: sha256(secret), owner, createdAt: now, usedAt: now };
    const idle = this.#givesWay(owner);
    if (idle !== undefined) {
      this.#end(idle);
    }
    this.#sessions.set(session.id, session);
    try {
      await this.#saving.request();
    } catch (error) {
      this.#end(session.id);
      throw error;
    }
    return { secret, session };
  }

  /** The session of a cookie, which is in use now; undefined: there is none, or it is over. */
  use(secret: string): Session | undefined {
    const session = this.#sessions.get(sha256(secret));
    if (session && this.#isOver(session)) {
      this.#end(session.id);
      return undefined;
    }
    if (session) {
      session.usedAt = this.#options.clock();
      this.#changed = true;
    }
    return session;
  }

  /**
   * Ends sessions whose owner is not valid any more. Resolves when the disk knows, or cannot know:
   * no controller takes them for valid.
   */
  async endInvalid(): Promise<void> {
    const over = [...this.#sessions.values()].filter(({ owner }) => !this.#options.isValid(owner));
    for (const { id } of over) {
      this.#end(id);
    }
    if (over.length > 0) {
      await this.#saveLater();
    }
  }

  /** The owner of a session has changed a password, and goes on with the new stamp. */
  goOn({ id }: Session, owner: Owner): void {
    const session = this.#sessions.get(id);
    if (session) {
      session.owner = owner;
      this.#changed = true;
    }
  }

  /**
   * Signs out. Resolves when the disk knows.
   * @throws what the store throws: the session goes on then, because another controller may have it
   */
  async end({ id }: Session): Promise<void> {
    const session = this.#sessions.get(id);
    this.#end(id);
    try {
      await this.#saving.request();
    } catch (error) {
      if (session) {
        this.#sessions.set(id, session);
      }
      throw error;
    }
  }

  /**
   * Something is open on behalf of a session, as a stream: the session is in use as long as it is.
   * @param close called when the session ends
   * @returns what says that it is not open any more
   */
  hold({ id }: Session, close: () => void): () => void {
    const held = this.#held.get(id) ?? new Set();
    this.#held.set(id, held.add(close));
    return () => {
      held.delete(close);
      if (held.size === 0 && this.#held.get(id) === held) {
        this.#held.delete(id);
      }
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    if (this.#changed) {
      await this.#saveLater();
    }
    await this.#saving.close().catch(() => undefined);
  }

  #givesWay(asker: Owner): string | undefined {
    const holder = (owner: Owner) => this.#options.holderOf(owner) ?? '';
    const byUse = [...this.#sessions.values()].sort((a, b) => a.usedAt - b.usedAt);
    return givesWay(new Map(byUse.map(({ id, owner }) => [id, holder(owner)])), holder(asker), SESSION_PLACES);
  }

  #isOver({ createdAt, usedAt, owner }: Session): boolean {
    const now = this.#options.clock();
    return !this.#options.isValid(owner) || now >= createdAt + SESSION_MS || now >= usedAt + IDLE_MS;
  }

  #end(id: string): void {
    this.#sessions.delete(id);
    for (const close of this.#held.get(id) ?? []) {
      close();
    }
  }

  #sweep(): void {
    for (const id of this.#held.keys()) {
      const session = this.#sessions.get(id);
      if (session) {
        session.usedAt = this.#options.clock();
        this.#changed = true;
      }
    }
    for (const session of this.#sessions.values()) {
      if (this.#isOver(session)) {
        this.#end(session.id);
        this.#changed = true;
      }
    }
    if (this.#changed) {
      void this.#saveLater();
    }
  }

  /** Saves where nobody has to know whether it was done: the next look tries again. */
  #saveLater(): Promise<void> {
    return this.#saving.request().catch(() => undefined);
  }

  /** @throws what the store throws. A disk that refuses costs a sign-in after a restart, and is logged */
  async #save(): Promise<void> {
    this.#changed = false;
    const sessions = [...this.#sessions.values()];
    try {
      await this.#options.copy?.(sessions);
    } catch (error) {
      this.#notSaved(error);
      throw error;
    }
    await replaceFile(this.#options.file, JSON.stringify(sessions)).catch((error) => this.#notSaved(error));
  }

  #notSaved(error: unknown): void {
    this.#changed = true;
    this.#options.log.warn({ err: error }, 'sessions not saved');
  }
}

/**
 * What a page of the console has to send with each change: it cannot be made of anything that other
 * pages know.
 */
export function csrfOf(secret: string): string {
  return createHmac('sha256', secret).update('csrf').digest('base64url');
}

function readSessions({ file, log }: SessionsOptions): z.infer<typeof Session>[] {
  try {
    return z
      .array(Session)
      .max(SESSION_PLACES.total)
      .parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log.warn({ err: error }, 'sessions not read: everybody has to sign in again');
    }
    return [];
  }
}
