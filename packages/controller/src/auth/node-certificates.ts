/** Which certificates of a node are accepted. Pure. */
import { type CertificateRecord, CUT_OFFS_KEY, type EnrolmentRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { CERTIFICATE_URN, NODE_URN } from './authority.ts';

/** Which certificate of which registration of a node it is. */
export interface CertificateName {
  /** Of the registration. */
  uid: string;
  generation: number;
  number: number;
}

/**
 * - `accepted`: the newest certificate that the node is known to have.
 * - `newer`: a renewed one. The agent has it, although it has not said so.
 * - `contested`: a newer one of the same enrolment is in use, so the key is in two places.
 * - `superseded`: the node has enrolled again since, or it was revoked.
 */
export type Standing = 'accepted' | 'newer' | 'contested' | 'superseded';

/** Of a node whose certificate was issued by a controller that did not number them. */
const UNNUMBERED: CertificateRecord = { generation: 0, number: 0, issued: 0, authority: '' };

/**
 * What the names of a certificate say.
 * @param names as Node.js gives `subjectaltname`: `DNS:node-1, URI:urn:…`
 */
export function certificateName(names: string): CertificateName | undefined {
  const after = (urn: string) =>
    names
      .split(', ')
      .find((name) => name.startsWith(`URI:${urn}`))
      ?.slice(`URI:${urn}`.length);
  const uid = after(NODE_URN);
  if (uid === undefined) {
    return undefined;
  }
  const [, generation = 0, number = 0] = /^(\d{1,9})\.(\d{1,9})$/.exec(after(CERTIFICATE_URN) ?? '') ?? [];
  return { uid, generation: Number(generation), number: Number(number) };
}

/** @param record undefined: no certificate of the node was numbered yet */
export function standingOf({ generation, number }: CertificateName, record: CertificateRecord = UNNUMBERED): Standing {
  if (generation !== record.generation) {
    return generation < record.generation ? 'superseded' : 'newer';
  }
  if (number === record.number) {
    return 'accepted';
  }
  return number < record.number ? 'contested' : 'newer';
}

/**
 * The record after an enrolment.
 * @param authority fingerprint of the authority that signs
 * @param poolToken id of the token of a pool that lets the node in. Undefined: its own one does
 * @param enrolment left out: it cannot be repeated
 */
export function enrolled(
  before: CertificateRecord = UNNUMBERED,
  authority: string,
  poolToken: string | undefined,
  enrolment?: EnrolmentRecord,
): CertificateRecord {
  const joinToken = poolToken ?? before.joinToken;
  const generation = before.generation + 1;
  const more = { ...(joinToken !== undefined && { joinToken }), ...(enrolment && { enrolment }) };
  return { generation, number: 0, issued: 0, authority, ...more };
}

/** Milliseconds for which an enrolment can be repeated. An agent that has no answer tries again within seconds. */
export const REPEAT_MS = 10 * 60_000;

/**
 * Whether an agent repeats the enrolment that has made the record, because it has not got the answer.
 * @param authority fingerprint of the authority that would sign now
 */
export function isRepeated(
  record: CertificateRecord | undefined,
  { token, key, at }: EnrolmentRecord,
  authority: string,
): record is CertificateRecord {
  const before = record?.enrolment;
  return (
    record?.number === 0 &&
    record.issued === 0 &&
    record.authority === authority &&
    before?.token === token &&
    before.key === key &&
    at - before.at <= REPEAT_MS
  );
}

/** The record after a renewed certificate was signed, which the node may not have yet. */
export function issued(record: CertificateRecord = UNNUMBERED, authority: string): CertificateRecord {
  return { ...record, issued: record.issued + 1, issuedBy: authority };
}

/** The record after the node has shown that it has this certificate. */
export function confirmed(
  record: CertificateRecord = UNNUMBERED,
  { generation, number }: Omit<CertificateName, 'uid'>,
): CertificateRecord {
  const isLast = generation === record.generation && number === record.issued;
  const authority = isLast ? (record.issuedBy ?? record.authority) : '';
  const { joinToken } = record;
  const kept = joinToken !== undefined && { joinToken };
  return { generation, number, issued: Math.max(number, isLast ? record.issued : 0), authority, ...kept };
}

/** The record after the node was revoked: no certificate that it has is accepted. */
export function revoked({ generation }: CertificateRecord = UNNUMBERED): CertificateRecord {
  return { generation: generation + 1, number: 0, issued: 0, authority: '' };
}

/** What is written when a host is cut off: secrets that it may know are changed. */
export function cutOff(view: View): Operation {
  return { type: 'put', key: CUT_OFFS_KEY, value: view.cutOffs + 1 };
}
