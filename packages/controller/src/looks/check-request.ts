/** Which looks are refused, and why. Pure. */
import { compileWords, LOOK_LIMITS, type LookCreate, type Refusal, WordsError } from '@mirrorplane/contract';

/** What a request is checked against. */
export interface KnownToLooks {
  hasInterface(id: string): boolean;
  /** Undefined: there is no policy of this name. */
  policy(name: string): { enabled: boolean } | undefined;
}

/** Everything that is wrong with a request. Empty: the look can begin, if there is room. */
export function lookRefusals(request: LookCreate, known: KnownToLooks): Refusal[] {
  return [...subjectRefusals(request, known), ...wordsRefusals(request.words)];
}

function subjectRefusals({ interfaces, policy }: LookCreate, known: KnownToLooks): Refusal[] {
  if ((interfaces === undefined) === (policy === undefined)) {
    const message = `give interfaces, 1 to ${LOOK_LIMITS.interfaces}, or a policy, and not both`;
    return [{ code: 'LOOK_INVALID', field: 'interfaces', message }];
  }
  return interfaces === undefined ? policyRefusals(policy!, known) : interfaceRefusals(interfaces, known);
}

function interfaceRefusals(interfaces: readonly string[], known: KnownToLooks): Refusal[] {
  return interfaces.flatMap((id, index): Refusal[] => {
    const field = `interfaces[${index}]`;
    if (interfaces.indexOf(id) < index) {
      return [{ code: 'LOOK_INVALID', field, message: `${id} is listed twice: list it once` }];
    }
    if (!known.hasInterface(id)) {
      const message = `there is no interface "${id}": check the id with "mirrorplane interface list"`;
      return [{ code: 'LOOK_INTERFACE_NOT_FOUND', field, message }];
    }
    return [];
  });
}

function policyRefusals(name: string, known: KnownToLooks): Refusal[] {
  const policy = known.policy(name);
  if (policy === undefined) {
    const message = `there is no policy "${name}": check the name with "mirrorplane policy list"`;
    return [{ code: 'LOOK_POLICY_NOT_FOUND', field: 'policy', message }];
  }
  if (!policy.enabled) {
    const message = `policy "${name}" is disabled, so no node captures its sources: enable it, or give interfaces`;
    return [{ code: 'LOOK_INVALID', field: 'policy', message }];
  }
  return [];
}

function wordsRefusals(words: string): Refusal[] {
  try {
    compileWords(words);
    return [];
  } catch (error) {
    if (!(error instanceof WordsError)) {
      throw error;
    }
    return [{ code: 'LOOK_WORDS_INVALID', field: 'words', message: error.message }];
  }
}
