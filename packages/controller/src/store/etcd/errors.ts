/** What a member of etcd, or the way to it, answers instead of a result. */

/** Status codes of gRPC that the store tells apart: https://grpc.io/docs/guides/status-codes. */
export const STATUS = {
  deadlineExceeded: 4,
  notFound: 5,
  exhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Part of what etcd says, and what is said instead: with a remedy. */
const REMEDIES = [
  [
    'request is too large',
    'the values of one transaction are larger than etcd takes: raise its --max-request-bytes (default 1.5 MiB)',
  ],
  [
    'database space exceeded',
    'the database of etcd is full: raise its --quota-backend-bytes, or defragment it, and disarm its alarm',
  ],
] as const;

/** An answer with a status other than 0. */
export class EtcdError extends Error {
  override name = 'EtcdError';
  readonly status: number;

  constructor(status: number, text: string) {
    super(REMEDIES.find(([part]) => text.includes(part))?.[1] ?? text);
    this.status = status;
  }

  /**
   * Whether another member, or the same one in a moment, may answer. The call may have been carried
   * out all the same.
   */
  get isPassing(): boolean {
    const { deadlineExceeded, internal, unavailable, exhausted } = STATUS;
    const isCrowd = this.status === exhausted && this.message.includes('too many requests');
    return isCrowd || this.status === deadlineExceeded || this.status === internal || this.status === unavailable;
  }

  /** Whether signing in again may help. */
  get isSignedOut(): boolean {
    return this.status === STATUS.unauthenticated || this.message.includes('revision of auth store is old');
  }

  /** Whether the asked revision was compacted. */
  get isCompacted(): boolean {
    return this.status === STATUS.outOfRange && this.message.includes('compacted');
  }
}
