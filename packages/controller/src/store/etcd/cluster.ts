/**
 * The members of an etcd cluster as one. A call goes to the member that answered last; if it does
 * not answer, to the next one, until the time of the call is over.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from '../store.ts';
import { EtcdError, STATUS } from './errors.ts';
import { Member, type Receiver, type Running } from './member.ts';
import { answers, authenticateRequest, type Call, rangeRequest } from './messages.ts';
import { Stopping } from './stopping.ts';
import type { EtcdTls } from './tls.ts';

/** How to reach etcd. */
export interface EtcdOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT` of each member. */
  endpoints: readonly string[];
  tls?: EtcdTls;
  /** User and password, where etcd asks for them. */
  user?: { name: string; password: string } | undefined;
  /** Milliseconds after which a call that nobody answers is given up. Default 10,000. */
  giveUpMs?: number;
  /** Tells when the process stops. Default: it never does. */
  stopping?: Stopping;
}

/** Milliseconds that one member may take for an answer. A new leader of etcd is there in 2 s. */
const ATTEMPT_MS = 3000;
/** Milliseconds that a member may take to say that it is there. */
const HEALTH_MS = 1000;
/** Milliseconds between two attempts after all members were asked. */
const PAUSE_MS = 100;

export class Cluster {
  readonly #members: Member[];
  readonly #user: EtcdOptions['user'];
  readonly #giveUpMs: number;
  readonly #stopping: Stopping;
  #at = 0;
  #token: string | undefined;
  #closed = false;

  constructor({ endpoints, tls = {}, user, giveUpMs = 10_000, stopping = new Stopping() }: EtcdOptions) {
    this.#members = endpoints.map((url) => new Member(url, tls));
    this.#user = user;
    this.#giveUpMs = giveUpMs;
    this.#stopping = stopping;
  }

  /**
   * The answer of a call that has one. It may be carried out more than once.
   * @throws EtcdError what etcd refuses; StoreUnavailableError if nobody answers in time
   */
  async ask(call: Call, request: Buffer): Promise<Buffer> {
    const usual = performance.now() + this.#giveUpMs;
    let why: string | undefined;
    for (let attempt = 1; ; attempt++) {
      this.#requireOpen();
      const at = this.#at;
      // While it is asked, the process may begin to stop.
      const end = Math.min(usual, this.#stopping.giveUpAt);
      let token: string | undefined;
      try {
        await this.#signIn();
        token = this.#token;
        return await this.#once(call, request, Math.max(1, Math.min(ATTEMPT_MS, end - performance.now())));
      } catch (error) {
        if (!(error instanceof EtcdError) || !this.#mayHelp(error, at, token)) {
          throw error;
        }
        // The last attempt may have had no time: what an earlier one has met says more.
        why = why === undefined || error.status !== STATUS.deadlineExceeded ? error.message : why;
        if (performance.now() + PAUSE_MS > Math.min(usual, this.#stopping.giveUpAt)) {
          throw new StoreUnavailableError(`etcd does not answer: ${why}`);
        }
        if (attempt % this.#members.length === 0) {
          await sleep(PAUSE_MS);
        }
      }
    }
  }

  /**
   * The answer of one attempt at one member. After a failure, another member is next.
   * @param step which member: 0 the one that is asked now, 1 the one after it, and so on
   * @throws as `ask`; EtcdError of any kind if the member does not answer in time
   */
  async askOnce(call: Call, request: Buffer, limitMs: number, step = 0): Promise<Buffer> {
    this.#requireOpen();
    const at = this.#at + step;
    let token: string | undefined;
    try {
      await this.#signIn();
      token = this.#token;
      return await this.#once(call, request, limitMs, this.#member(at));
    } catch (error) {
      if (error instanceof EtcdError) {
        this.#mayHelp(error, at, token);
      }
      throw error;
    }
  }

  /** Asks each member for a key that most of them have to agree on. Takes a second at most. */
  async members(): Promise<{ url: string; answers: boolean }[]> {
    await this.#signIn().catch(() => undefined);
    const request = rangeRequest({ key: 'any', keysOnly: true });
    return Promise.all(
      this.#members.map(async (member) => {
        const asked = this.#once('range', request, HEALTH_MS, member);
        return { url: member.url, answers: await asked.then(() => true, isRefused) };
      }),
    );
  }

  /** Begins a watch at one member. `done` has the error after which another member is next. */
  async watch(request: Buffer, receiver: Receiver): Promise<Running> {
    this.#requireOpen();
    await this.#signIn();
    const at = this.#at;
    const token = this.#token;
    return this.#member().call(
      'watch',
      request,
      {
        message: receiver.message,
        done: (error) => {
          this.#mayHelp(error ?? new EtcdError(STATUS.unavailable, 'the watch was ended'), at, token);
          receiver.done(error);
        },
      },
      { ...(token !== undefined && { token }), hasLeader: true },
    );
  }

  close(): void {
    this.#closed = true;
    for (const member of this.#members) {
      member.close();
    }
  }

  #member(at = this.#at): Member {
    return this.#members[at % this.#members.length]!;
  }

  #requireOpen(): void {
    if (this.#closed) {
      throw new Error('the store is closed');
    }
  }

  /**
   * Prepares another attempt.
   * @param at the member that was asked, and `token` what it was shown
   * @returns false if the answer is final
   */
  #mayHelp(error: EtcdError, at: number, token: string | undefined): boolean {
    if (error.isSignedOut && this.#user !== undefined) {
      // Several calls are refused at once: one of them signs in again for all.
      this.#token = this.#token === token ? undefined : this.#token;
      return true;
    }
    // Several calls fail at once when a member dies: one step for all of them.
    if (error.isPassing && this.#at === at) {
      this.#at++;
    }
    return error.isPassing;
  }

  async #signIn(): Promise<void> {
    if (this.#user !== undefined && this.#token === undefined) {
      const { name, password } = this.#user;
      this.#token = answers.token(await this.#once('authenticate', authenticateRequest(name, password), ATTEMPT_MS));
    }
  }

  /** One call at one member: the first message is the answer. */
  #once(call: Call, request: Buffer, limitMs: number, member = this.#member()): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      const timer = setTimeout(() => {
        running.end();
        reject(new EtcdError(STATUS.deadlineExceeded, `${member.url}: no answer after ${Math.round(limitMs)} ms`));
      }, limitMs);
      const running = member.call(
        call,
        request,
        {
          message: (bytes) => {
            this.#stopping.answered();
            answer ??= bytes;
          },
          done: (error) => {
            clearTimeout(timer);
            if (answer !== undefined && error === undefined) {
              resolve(answer);
            } else {
              reject(error ?? new EtcdError(STATUS.internal, `${member.url}: an answer without a message`));
            }
          },
        },
        this.#token === undefined || call === 'authenticate' ? {} : { token: this.#token },
      );
    });
  }
}

/** Whether it is an answer: the user may not read the key, for example. */
function isRefused(error: unknown): boolean {
  return error instanceof EtcdError && !error.isPassing;
}
