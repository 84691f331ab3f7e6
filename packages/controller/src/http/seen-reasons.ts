/** Why a policy is refused, for a sender who may not read all of its ends. */
import { type PolicySpec, type Refusal, sayRule, type Warning } from '@mirrorplane/contract';
import { OF_SHAPE, type ValidationContext } from '@mirrorplane/planner';
import type { Judge } from '../access/judge.ts';

/** Interfaces that a warning names. */
const MAX_NAMED = 3;

interface Reasons {
  refusals: Refusal[];
  warnings: Warning[];
}

/** Ends of a policy that the sender may not read, whether they exist or not. */
export function hiddenEnds({ sources, destination }: PolicySpec, judge: Judge): string[] {
  return judge.everywhere('read') ? [] : [...sources, destination].filter((id) => !judge.may('read', 'interface', id));
}

/**
 * What a request for consent is checked against: nothing is known of the ends that the sender may
 * not read. So the answer is the same whether they exist or not, and whatever they are.
 */
export function contextWithout(hidden: readonly string[], context: ValidationContext): ValidationContext {
  const { inventory, explain } = context;
  const interfaces = inventory.interfaces.filter(({ id }) => !hidden.includes(id));
  return {
    ...context,
    inventory: { ...inventory, interfaces },
    cluster: undefined,
    explain: (id) => (hidden.includes(id) ? undefined : explain?.(id)),
  };
}

/**
 * The reasons for a request for consent, made with `contextWithout`. What is about hidden ends is
 * checked with the last consent.
 */
export function askedReasons({ refusals }: Reasons, given: PolicySpec, hidden: readonly string[]): Reasons {
  return {
    refusals: refusals.filter((one) => OF_SHAPE.has(one.code) || hiddenIn(one, given, hidden) === undefined),
    warnings: [sayRule('POLICY_END_UNSEEN', { interfaces: listed(hidden) })],
  };
}

/** A few ids by name. */
function listed(ids: readonly string[]): string {
  const more = ids.length > MAX_NAMED ? ` and ${ids.length - MAX_NAMED} more` : '';
  return `${ids.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/**
 * The reasons without what they tell of others: one refusal for each end that the sender may not
 * read, whatever the reason is, and one for a chain of policies. Warnings tell of other policies, so
 * there are none where an end is not the sender's to read.
 */
export function seenReasons(all: Reasons, given: PolicySpec, judge: Judge): Reasons {
  if (judge.everywhere('read')) {
    return all;
  }
  const hidden = hiddenEnds(given, judge);
  const refusals = all.refusals.map((refusal) => {
    const about = OF_SHAPE.has(refusal.code) ? undefined : hiddenIn(refusal, given, hidden);
    return about === undefined ? refusal : neutral(about, given);
  });
  const once = new Map(refusals.map((one) => [`${one.field} ${one.message}`, one]));
  return { refusals: [...once.values()], warnings: hidden.length > 0 ? [] : all.warnings };
}

/** The end of which a refusal would tell too much. Undefined: none. */
function hiddenIn(
  { code, field, params = {} }: Refusal,
  given: PolicySpec,
  hidden: readonly string[],
): string | undefined {
  const at = /^sources\[(\d+)\]$/.exec(field)?.[1];
  const end = at === undefined ? given.destination : given.sources[Number(at)];
  const named = new Set([end, ...Object.values(params).map(String)]);
  return hidden.find((id) => named.has(id)) ?? (code === 'POLICY_CYCLE' ? given.destination : undefined);
}

function neutral(id: string, { sources }: PolicySpec): Refusal {
  const at = sources.indexOf(id);
  const text = `"${id}" cannot be used here, or does not exist: ask who owns it, or an administrator`;
  return at < 0
    ? { field: 'destination', ...sayRule('POLICY_DESTINATION_NOT_FOUND', { text }) }
    : { field: `sources[${at}]`, ...sayRule('POLICY_SOURCE_NOT_FOUND', { text }) };
}
