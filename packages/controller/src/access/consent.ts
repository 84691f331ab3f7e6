/** What consent a change of a policy needs, and what approving it does. Pure. */
import type { Consent, ConsentNeed, PolicySpec } from '@mirrorplane/contract';
import type { Ends, Judge } from './judge.ts';

/** What of a policy says how much it copies, and whereto. */
type Reach = Pick<
  PolicySpec,
  'sources' | 'destination' | 'direction' | 'percent' | 'vlanId' | 'maxRate' | 'allowFeedback' | 'endsAt' | 'enabled'
>;

/**
 * Whether a policy copies nothing that it did not copy before: the same destination, no other
 * source, no more of its traffic, and not for longer. Then what was approved covers it. A disabled
 * policy copies nothing: to enable it is more.
 */
export function isNarrower(old: Reach, next: Reach): boolean {
  const before = new Set(old.sources);
  const end = ({ endsAt }: Reach) => (endsAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(endsAt));
  const rate = ({ maxRate }: Reach) => maxRate ?? Number.POSITIVE_INFINITY;
  return (
    next.destination === old.destination &&
    next.sources.every((id) => before.has(id)) &&
    (next.direction === old.direction || old.direction === 'all') &&
    next.percent <= old.percent &&
    next.vlanId === old.vlanId &&
    rate(next) <= rate(old) &&
    (!next.allowFeedback || old.allowFeedback === true) &&
    end(next) <= end(old) &&
    (!next.enabled || old.enabled)
  );
}

/** Consent that the author of a policy cannot give alone. */
export function missingConsent(judge: Judge, ends: Ends, fourEyes: boolean): ConsentNeed[] {
  const needs: ConsentNeed[] = (['mirror', 'send'] as const).map((right) => {
    return { right, interfaces: judge.lacking(right, ends) };
  });
  return [
    ...(fourEyes ? [{ right: 'policy' as const, interfaces: [] }] : []),
    ...needs.filter(({ interfaces }) => interfaces.length > 0),
  ];
}

interface Question {
  needs: readonly ConsentNeed[];
  requestedBy: string;
  /** The policy as it would be. */
  ends: Ends;
}

/** Consent that somebody can give, out of what is missing. Empty: none. */
export function consentOf(judge: Judge, name: string, { needs, requestedBy, ends }: Question): ConsentNeed[] {
  return needs.flatMap(({ right, interfaces }): ConsentNeed[] => {
    if (right === 'policy') {
      return name !== requestedBy && judge.reaches('policy', ends) ? [{ right, interfaces }] : [];
    }
    const own = interfaces.filter((id) => judge.may(right, 'interface', id));
    return own.length > 0 ? [{ right, interfaces: own }] : [];
  });
}

/** What is still missing after consent. */
export function withoutConsent(needs: readonly ConsentNeed[], given: readonly ConsentNeed[]): ConsentNeed[] {
  return needs.flatMap((need): ConsentNeed[] => {
    const same = given.filter(({ right }) => right === need.right);
    if (need.right === 'policy') {
      return same.length > 0 ? [] : [need];
    }
    const covered = new Set(same.flatMap(({ interfaces }) => interfaces));
    const interfaces = need.interfaces.filter((id) => !covered.has(id));
    return interfaces.length > 0 ? [{ ...need, interfaces }] : [];
  });
}

/** Consent with who has given it, and when. */
export function signed(given: readonly ConsentNeed[], by: string, at: string): Consent[] {
  return given.map((one) => ({ ...one, by, at }));
}

/** Missing consent in words: "mirror for web-1/0 and 2 more". */
export function needsText(needs: readonly ConsentNeed[]): string {
  const texts = needs.map(({ right, interfaces }) => {
    const more = interfaces.length > 1 ? ` and ${interfaces.length - 1} more` : '';
    return right === 'policy' ? 'another user' : `${right} for ${interfaces[0]}${more}`;
  });
  return texts.join(', ');
}
