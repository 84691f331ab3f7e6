/** The resources that clients change, and how a value is written into them. */

import type { Reply } from '../../packages/controller/test/api-call.ts';
import type { Value } from './checker/operation.ts';

/** A kind of resource. */
export interface Resource {
  folder: 'policies' | 'pools';
  name: string;
  /** The body that has this value. @param token a text that no other write has */
  body(token: string, enabled: boolean): object;
  /** The body of a patch. */
  part(token: string): object;
  /** The value of a body. A body that has half of one write and half of another has no such value. */
  valueIn(body: Reply['body']): Value;
  /** Whether it can be enabled, disabled, created by POST, and patched. */
  isPolicy: boolean;
}

const numberOf = (token: string): number => [...token].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 9973, 7);

/** Fields of a policy that a token decides, all of them: so a mixture of two writes shows. */
function fieldsOf(name: string, token: string) {
  const number = numberOf(token);
  const all = sourcesOf(name);
  return {
    description: token,
    percent: (number % 100) + 1,
    direction: ['all', 'inbound', 'outbound'][number % 3]!,
    sources: all.slice(0, 1 + (number % all.length)),
  };
}

/** The interfaces that a policy may have as sources: no other policy has them. */
export const sourcesOf = (name: string): string[] => ['a', 'b', 'c'].map((letter) => `${name}-${letter}`);

export function policy(name: string): Resource {
  return {
    folder: 'policies',
    name,
    isPolicy: true,
    body: (token, enabled) => ({ ...fieldsOf(name, token), destination: DESTINATION, enabled }),
    part: (token) => fieldsOf(name, token),
    valueIn(body) {
      const { description, percent, direction, sources, enabled } = body;
      const found = JSON.stringify({ description, percent, direction, sources });
      const isWhole = found === JSON.stringify(fieldsOf(name, description));
      return { token: isWhole ? description : `a mixture: ${found}`, enabled };
    },
  };
}

export function pool(name: string): Resource {
  return {
    folder: 'pools',
    name,
    isPolicy: false,
    body: (token) => ({ domain: 'blue', description: token }),
    part: (token) => ({ domain: 'blue', description: token }),
    valueIn: ({ description }) => ({ token: description }),
  };
}

/** All resources that clients change. */
export const RESOURCES: readonly Resource[] = [
  ...['p1', 'p2', 'p3', 'p4', 'p5'].map(policy),
  ...['q1', 'q2'].map(pool),
];

/** The interface to which all policies copy. */
export const DESTINATION = 'ids';

/** Interfaces that policies need, with their nodes. */
export function interfacesByNode(): Record<string, string[]> {
  const policies = RESOURCES.filter(({ isPolicy }) => isPolicy);
  return { 'node-1': policies.flatMap(({ name }) => sourcesOf(name)), 'node-2': [DESTINATION] };
}
