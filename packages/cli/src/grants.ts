/** Grants on the command line, as `operator:pool=east,west`. */
import type { Grant } from '@mirrorplane/contract';
import { parseGrant } from '@mirrorplane/contract/grant-text';
import { InvalidArgumentError } from 'commander';

/** Collects grants of repeated options. @throws InvalidArgumentError */
export function collectGrants(value: string, before: Grant[] | undefined): Grant[] {
  try {
    return [...(before ?? []), parseGrant(value)];
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}
