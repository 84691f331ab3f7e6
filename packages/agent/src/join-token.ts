/**
 * Where the join token comes from: a file, the standard input, or the environment. Never the command
 * line, because every user of a host can read it.
 */
import { readFileSync } from 'node:fs';
import { readSecretFile } from '@mirrorplane/daemon';

/** The variable with the join token. It differs from that of the API token. */
export const JOIN_TOKEN_VARIABLE = 'MIRRORPLANE_JOIN_TOKEN';

/** What an operator is told who gives the token itself. */
export const TOKEN_REFUSED =
  'a join token does not belong on the command line, where every user of this host can read it, or into the settings: ' +
  `give --token-file FILE (- is the standard input), or set ${JOIN_TOKEN_VARIABLE}; ` +
  'if it was on the command line, revoke it with "mirrorplane node token revoke ID"';

/**
 * The join token. Undefined: none is given. The variable is removed from the environment, so that no
 * child of this process gets it.
 * @param file of --token-file; it comes before the environment
 * @throws Error if the file cannot be read, or others can read it
 */
export function takeJoinToken(file: string | undefined, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const given = env[JOIN_TOKEN_VARIABLE]?.trim();
  delete env[JOIN_TOKEN_VARIABLE];
  if (file === undefined) {
    return given || undefined;
  }
  return file === '-' ? readFileSync(0, 'utf8').trim() : readSecretFile(file, 'a join token');
}
