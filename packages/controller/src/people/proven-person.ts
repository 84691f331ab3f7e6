/** A person whom another system has proven: OpenID Connect, or LDAP. */
import type { Grant } from '@mirrorplane/contract';

export interface ProvenPerson {
  source: 'oidc' | 'ldap';
  /** A `UserName`: in small letters. */
  name: string;
  displayName?: string;
  /** By groups of that system. */
  grants: readonly Grant[];
}
