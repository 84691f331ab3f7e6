/**
 * Notices ERSPAN that claims to come from a node of ours and did not: what its receiver has
 * refused, and the node itself cannot have sent.
 */
import { COPY_REFUSALS, type CopyRefusal, type CounterReport, type NodeProblem } from '@mirrorplane/contract';

/** Milliseconds that forged copies stay a problem of their receiver. */
const FORGED_MS = 60_000;
/**
 * Reports one after another in which unknown sessions must have come. A sender that has just learned
 * of a change may have sent the packets of one report before.
 */
const REPORTS = 3;
/** A node that changes sends these too, until it has applied its newest program. */
const STALE: readonly CopyRefusal[] = ['staleSession', 'wrongAddress', 'wrongSecret'];

type Peer = CounterReport['peers'][number];

/** What one node has refused, and since when it must be forged. */
export class ForgedCopies {
  #epoch: string | undefined;
  #peers = new Map<string, Peer>();
  /** By sender: reports with stale sessions in a row. */
  #streaks = new Map<string, number>();
  #found: { problem: NodeProblem; at: number } | undefined;

  /**
   * Takes a complete report of the receiver.
   * @param isCurrent whether the node with this address is connected and runs its newest program
   * @param now milliseconds since 1970
   */
  take(
    { epoch, peers }: Pick<CounterReport, 'epoch' | 'peers'>,
    isCurrent: (address: string) => boolean,
    now: number,
  ): void {
    const before = epoch === this.#epoch ? this.#peers : undefined;
    const forged = before ? peers.flatMap((peer) => this.#judge(peer, before.get(peer.address), isCurrent)) : [];
    this.#epoch = epoch;
    this.#peers = new Map(peers.map((peer) => [peer.address, peer]));
    if (forged.length > 0) {
      const message = `it refuses ERSPAN that was sent with the address of another node: ${forged.join(', ')}`;
      this.#found = { problem: { code: 'COPIES_FORGED', message }, at: now };
    }
  }

  /** @param now milliseconds since 1970 */
  problem(now: number): NodeProblem | undefined {
    return this.#found && now - this.#found.at <= FORGED_MS ? this.#found.problem : undefined;
  }

  #judge(peer: Peer, before: Peer | undefined, isCurrent: (address: string) => boolean): string[] {
    const { address } = peer;
    const grown = COPY_REFUSALS.filter((reason) => peer[reason] > (before?.[reason] ?? 0));
    const stale = grown.some((reason) => STALE.includes(reason)) && isCurrent(address);
    const streak = stale ? (this.#streaks.get(address) ?? 0) + 1 : 0;
    this.#streaks.set(address, streak);
    const proven = grown.filter((reason) => !STALE.includes(reason) || streak >= REPORTS);
    const counts = proven.map((reason) => `${reason} ${peer[reason] - (before?.[reason] ?? 0)}`);
    return counts.length === 0 ? [] : [`${address} (${counts.join(', ')} packets in the last report)`];
  }
}
