/**
 * Certificates over the sessions of agents: an agent asks for a new one before the old one ends, and
 * is told which authorities it shall trust.
 */
import { X509Certificate } from 'node:crypto';
import type { AuthorityMessage, CertificateStoredMessage, RenewMessage } from '@mirrorplane/contract';
import { fingerprintOf } from '@mirrorplane/contract/certificate-text';
import { nodeActor } from '../audit/actors.ts';
import { RequestError } from '../auth/agent-request.ts';
import { type CertificateName, confirmed, issued, standingOf } from '../auth/node-certificates.ts';
import type { Services } from '../services.ts';
import type { CertificateRecord } from '../store/records.ts';
import { keyOf } from '../store/view.ts';
import { TokenBucket } from '../token-bucket.ts';
import { CLOSE, closeText, type Session } from './session.ts';

/** Renewals of the certificate of one node: some at once, then one an hour. */
const RENEWALS = { reserve: 5, perSecond: 1 / 3600 };
/**
 * Milliseconds between two agents that are told of other authorities: each of them asks for a
 * certificate then.
 */
const PACE_MS = 50;

/** A certificate that was sent to an agent, which has not said yet that it is stored. */
interface Offer {
  fingerprint: string;
  number: number;
  endsAt: string;
}

export class Renewals {
  readonly #services: Services;
  readonly #shares = new Map<string, TokenBucket>();
  readonly #offers = new WeakMap<Session, Offer>();
  readonly #signing = new Set<Session>();
  /** Sessions that may have to be told of other authorities. */
  readonly #waiting = new Set<Session>();
  #pace: NodeJS.Timeout | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  /** An agent asks for a certificate, or has stored one. */
  take(session: Session, message: RenewMessage | CertificateStoredMessage): void {
    const taken = message.type === 'renew' ? this.#renew(session, message.csr) : this.#stored(session, message);
    taken.catch((error: unknown) => {
      this.#services.log.error({ node: session.node, err: error }, 'certificate of an agent not renewed');
    });
  }

  /** The agent of a node has connected. */
  joined(session: Session): void {
    const { view, live, log } = this.#services;
    const { node, certificate, certificateEndsAt } = session.peer;
    live.certificate(node, certificateEndsAt);
    if (standingOf(certificate, view.get('certificates', node)?.value) === 'newer') {
      this.#confirm(node, certificate).catch((error: unknown) => {
        log.error({ node, err: error }, 'certificate of an agent not confirmed');
      });
    }
    this.tell([session]);
  }

  /** Tells agents which authorities they shall trust, one after the other. */
  tell(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      this.#waiting.add(session);
    }
    if (this.#pace === undefined) {
      this.#pace = setInterval(() => this.#tellNext(), PACE_MS).unref();
      this.#tellNext();
    }
  }

  /** The node is deleted, or cut off. */
  forget(node: string): void {
    this.#shares.delete(node);
  }

  close(): void {
    clearInterval(this.#pace);
  }

  #tellNext(): void {
    for (const session of this.#waiting) {
      this.#waiting.delete(session);
      const message = this.#notice(session);
      if (message) {
        session.tell(message);
        return;
      }
    }
    clearInterval(this.#pace);
    this.#pace = undefined;
  }

  /** What an agent has to be told. Undefined: nothing, or it would not understand it. */
  #notice({ node, trusts, isOpen }: Session): AuthorityMessage | undefined {
    const { authority, view } = this.#services;
    if (trusts === undefined || !isOpen) {
      return undefined;
    }
    const wanted = authority.trusted.map(({ fingerprint }) => fingerprint);
    const renew = view.get('certificates', node)?.value.authority !== authority.fingerprint;
    const knows = wanted.length === trusts.length && wanted.every((fingerprint) => trusts.includes(fingerprint));
    return renew || !knows ? { type: 'authority', authority: authority.trustedPem, renew } : undefined;
  }

  async #renew(session: Session, csr: string): Promise<void> {
    const { node, address, certificate: shown } = session.peer;
    const { authority, view, audit, refusals, log } = this.#services;
    const share = this.#shares.get(node) ?? new TokenBucket(RENEWALS);
    this.#shares.set(node, share);
    if (this.#signing.has(session) || !share.take()) {
      const message = `node "${node}" renews too often: a certificate is valid for weeks`;
      refusals.add({ request: 'renew', reason: 'tooOften', message, address, node });
      return;
    }
    this.#signing.add(session);
    try {
      const uid = view.get('nodes', node)?.value.uid;
      const record = issued(view.get('certificates', node)?.value, authority.fingerprint);
      if (uid === undefined || record.generation !== shown.generation) {
        return;
      }
      const { generation, issued: number } = record;
      const certificate = await authority.signAgent({ csr, node, uid, generation, number });
      const who = { ...nodeActor(node, address), action: 'renew' as const, resource: `nodes/${node}` };
      const isDone = await this.#write(node, record);
      if (!isDone || !session.isOpen) {
        return;
      }
      await audit.append({ ...who, outcome: 'done' });
      const { raw, validTo } = new X509Certificate(certificate);
      this.#offers.set(session, { fingerprint: fingerprintOf(raw), number, endsAt: new Date(validTo).toISOString() });
      session.tell({ type: 'certificate', certificate, authority: authority.trustedPem });
      log.info({ node, address }, 'certificate of an agent renewed');
    } catch (error) {
      if (!(error instanceof RequestError)) {
        throw error;
      }
      session.close(CLOSE.badMessage, closeText(error.message));
    } finally {
      this.#signing.delete(session);
    }
  }

  async #stored(session: Session, { fingerprint }: CertificateStoredMessage): Promise<void> {
    const offer = this.#offers.get(session);
    if (offer?.fingerprint !== fingerprint) {
      return;
    }
    this.#offers.delete(session);
    const name = { ...session.peer.certificate, number: offer.number };
    if (await this.#confirm(session.node, name)) {
      Object.assign(session.peer, { certificate: name, certificateEndsAt: offer.endsAt });
      this.#services.live.certificate(session.node, offer.endsAt);
    }
  }

  /** The node has this certificate. @returns false: it is not the newest any more */
  #confirm(node: string, name: CertificateName): Promise<boolean> {
    const { decisions, view } = this.#services;
    return decisions.decide(() => {
      const record = view.get('certificates', node)?.value;
      const isNewer = view.get('nodes', node) !== undefined && standingOf(name, record) === 'newer';
      return {
        ops: isNewer ? [{ type: 'put', key: keyOf('certificates', node), value: confirmed(record, name) }] : [],
        result: () => isNewer,
      };
    });
  }

  /** Writes that a certificate was signed. @returns false: another one was, or the node is cut off */
  #write(node: string, next: CertificateRecord): Promise<boolean> {
    const { decisions, view } = this.#services;
    return decisions.decide(() => {
      const record = view.get('certificates', node)?.value;
      const isNext = next.generation === (record?.generation ?? 0) && next.issued === (record?.issued ?? 0) + 1;
      const isHere = view.get('nodes', node) !== undefined;
      return {
        ops: isNext && isHere ? [{ type: 'put', key: keyOf('certificates', node), value: next }] : [],
        result: () => isNext && isHere,
      };
    });
  }
}
