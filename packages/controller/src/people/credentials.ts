/** Finds out whom a token, or the owner of a session, stands for at this moment. */
import { sha256 } from '../auth/api-tokens.ts';
import type { Owner, Principal } from '../auth/principal.ts';
import type { ApiTokenRecord, UserRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import type { FileToken, FileTokens } from './file-tokens.ts';

/** API tokens begin so: a search for secrets in files finds them. */
export const TOKEN_PREFIX = 'mpt_';

export class Credentials {
  readonly #view: View;
  readonly #files: FileTokens;
  readonly #clock: () => number;

  /** @param clock milliseconds since 1970, which never goes back */
  constructor({ view, files, clock }: { view: View; files: FileTokens; clock: () => number }) {
    this.#view = view;
    this.#files = files;
    this.#clock = clock;
  }

  /** Whose token it is. Undefined: it is not valid. */
  byToken(presented: string): Principal | undefined {
    return this.#byDigest(sha256(presented));
  }

  /** Who the owner is today. Undefined: not valid any more. */
  readonly byOwner = (owner: Owner): Principal | undefined => {
    if ('token' in owner) {
      return this.#byDigest(owner.token);
    }
    const user = this.#view.get('users', owner.user)?.value;
    return user && isCurrent(user, owner.stamp) ? userPrincipal(user) : undefined;
  };

  #byDigest(digest: string): Principal | undefined {
    const file = this.#files.find(digest);
    if (file) {
      return filePrincipal(file);
    }
    const token = this.#view.get('apiTokens', digest)?.value;
    return token && this.isTokenValid(token) ? tokenPrincipal(token, digest) : undefined;
  }

  /** Whether it has not expired, and who made it could make it today. */
  isTokenValid(token: ApiTokenRecord): boolean {
    const { maker } = token;
    if (this.#hasExpired(token)) {
      return false;
    }
    if ('file' in maker) {
      return this.#files.has(maker.file);
    }
    const user = this.#view.get('users', maker.user)?.value;
    return user !== undefined && isCurrent(user, maker.stamp);
  }

  #hasExpired({ expiresAt }: ApiTokenRecord): boolean {
    return expiresAt !== undefined && this.#clock() >= Date.parse(expiresAt);
  }
}

function isCurrent(user: UserRecord, stamp: string): boolean {
  return !user.disabled && user.stamp === stamp;
}

/** A user who has signed in. Until a password is changed that others know, there are no rights. */
export function userPrincipal({ name, grants, stamp, mustChangePassword }: UserRecord): Principal {
  const person = { user: name, stamp };
  return { kind: 'user', name, person, grants: mustChangePassword ? [] : grants, owner: person };
}

function filePrincipal({ name, grants, digest }: FileToken): Principal {
  return { kind: 'fileToken', name, token: name, grants, owner: { token: digest } };
}

function tokenPrincipal({ name, source, maker, grants }: ApiTokenRecord, digest: string): Principal {
  const principal: Principal = {
    kind: 'apiToken',
    name: 'file' in maker ? maker.file : maker.user,
    token: name,
    grants,
    owner: { token: digest },
  };
  return source === 'login' && 'user' in maker ? { ...principal, person: maker } : principal;
}
