/**
 * Many operations in one transaction. Etcd takes 128 in one list, but an operation may be a
 * transaction itself. Its rule: with `n` operations outside, each inner transaction may have
 * `128 - n` (`checkTxnRequest` in etcd's `v3rpc/key.go`). They share one revision.
 */
import { operations, txnRequest } from './messages.ts';

/** Etcd's default of `--max-txn-ops`. */
const MOST = 128;
/** Inner transactions, and operations in each: their product is the largest that the rule allows. */
const HALF = MOST / 2;
/** The most operations of one transaction. */
export const MOST_OPERATIONS = HALF * HALF;

/** @throws Error if there are more than 4,096 operations */
export function nested(all: Buffer[]): Buffer[] {
  if (all.length <= MOST) {
    return all;
  }
  if (all.length > MOST_OPERATIONS) {
    throw new Error(`a transaction has ${all.length} operations, and etcd takes ${MOST_OPERATIONS}`);
  }
  const groups: Buffer[] = [];
  for (let at = 0; at < all.length; at += HALF) {
    groups.push(operations.txn(txnRequest([], all.slice(at, at + HALF))));
  }
  return groups;
}
