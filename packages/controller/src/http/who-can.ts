/** Who may do something, as far as the one who asks may know it. */
import { type ConsentNeed, Grant, type Right } from '@mirrorplane/contract';
import * as z from 'zod';
import { consentOf } from '../access/consent.ts';
import type { Judge, Thing } from '../access/judge.ts';
import type { Services } from '../services.ts';
import { judgeOf } from './judges.ts';
import { questionOf } from './policy-consent.ts';
import { partOfPolicy } from './policy-part.ts';

const Holder = z
  .object({
    kind: z.enum(['user', 'token']),
    name: z.string().meta({ description: 'Name of the user, or of the API token.' }),
    grants: z.array(Grant).meta({ description: 'The grants that give the right.' }),
  })
  .meta({ id: 'Holder' });
type Holder = z.infer<typeof Holder>;

export const WhoCan = z
  .object({
    items: z.array(Holder),
    partial: z.boolean().meta({
      description:
        'true: you may not read all of it. Of what you may not read, only those are named who have the right everywhere, whether it exists or not.',
    }),
  })
  .meta({ id: 'WhoCan' });
type WhoCan = z.infer<typeof WhoCan>;

type Asked = { judge: Judge; services: Services };
/** Whether grants suffice. */
type Suffice = (grants: Grant[], name: string) => boolean;

/** Users that are not disabled, and tokens that are valid, with their grants. */
function* holders({ view, people }: Services): Generator<Holder> {
  for (const { name, grants } of people.files.all()) {
    yield { kind: 'token', name, grants: [...grants] };
  }
  for (const { value } of view.all('users').values()) {
    if (!value.disabled) {
      yield { kind: 'user', name: value.name, grants: [...value.grants] };
    }
  }
  for (const { value } of view.all('apiTokens').values()) {
    // A token of a login has what its user has.
    if (value.source !== 'login' && people.credentials.isTokenValid(value)) {
      yield { kind: 'token', name: value.name, grants: [...value.grants] };
    }
  }
}

/**
 * Holders with the grants that suffice: each that suffices alone, or without which the others do not.
 * Other grants of theirs are not told.
 */
function holdersWith(services: Services, suffice: Suffice): Holder[] {
  const all = [...holders(services)].flatMap((holder): Holder[] => {
    const { name } = holder;
    if (!suffice(holder.grants, name)) {
      return [];
    }
    const grants = holder.grants.filter((one) => {
      return (
        suffice([one], name) ||
        !suffice(
          holder.grants.filter((other) => other !== one),
          name,
        )
      );
    });
    return [{ ...holder, grants }];
  });
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Who may do something with a thing, or give the missing consent of this right to a policy that waits. */
export function whoCan(right: Right, { kind, name }: { kind: Thing; name: string }, asked: Asked): WhoCan {
  const { judge, services } = asked;
  const consent = kind === 'policy' ? consentersOf(right, name, asked) : undefined;
  if (consent) {
    return consent;
  }
  const isSeen = judge.may('read', kind, name);
  const suffice: Suffice = (grants) => {
    const theirs = judgeOf(grants, services);
    return isSeen ? theirs.may(right, kind, name) : theirs.everywhere(right);
  };
  return { items: holdersWith(services, suffice), partial: !isSeen };
}

/** Who can give consent to a policy that waits for it, and that one may read a part of. */
function consentersOf(right: Right, policy: string, { judge, services }: Asked): WhoCan | undefined {
  const record = services.view.get('policies', policy)?.value;
  const question = record && partOfPolicy(record, judge) ? questionOf(record) : undefined;
  const need = question?.needs.find((one) => one.right === right);
  if (!question || !need) {
    return undefined;
  }
  const isSeen = (id: string) => judge.may('read', 'interface', id);
  const { sources, destination } = question.ends;
  const seen: ConsentNeed = { ...need, interfaces: need.interfaces.filter(isSeen) };
  const isWhole = right === 'policy' ? [...sources, destination].every(isSeen) : need.interfaces.every(isSeen);
  const suffice: Suffice = (grants, name) => {
    const theirs = judgeOf(grants, services);
    const isOwn = right === 'policy' && name === question.requestedBy;
    const canHere =
      (right !== 'policy' || isWhole) && consentOf(theirs, name, { ...question, needs: [seen] }).length > 0;
    return !isOwn && (theirs.everywhere(right) || canHere);
  };
  return { items: holdersWith(services, suffice), partial: !isWhole };
}
