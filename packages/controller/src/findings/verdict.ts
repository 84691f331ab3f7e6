/** What a finding comes to. */
import type { FindingCause, UndeterminedReason } from '@mirrorplane/contract';
import type { Way } from './conversations.ts';
import type { SizeLimit } from './sizes.ts';

/** What a finding says, before it is a sentence. */
export interface Verdict {
  cause: FindingCause;
  undetermined?: UndeterminedReason;
  /** The way that it is about. Absent: both. */
  way?: Way;
  /** The services that it is about. */
  services: string[];
  /** Packets, or attempts, that it is about, on the wire. */
  count?: number;
  /** Of so many. */
  of?: number;
  node?: string;
  device?: string;
  /** The kernel's words. */
  reason?: string;
  /** Microseconds since 1970, by the clock of the node where the first of it was seen. */
  since?: number;
  sizes?: SizeLimit;
  /** What else there is to say, in words of others. */
  text?: string;
}
