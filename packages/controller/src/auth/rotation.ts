/** How far the rotation of the authority is. Pure. */
import { type AuthorityStatus, MAX_NODES_LEFT } from '@mirrorplane/contract';
import type { Authority } from './authority.ts';
import { type TokenSight, validTokens } from './join-tokens.ts';

interface Parts extends TokenSight {
  authority: Pick<Authority, 'trusted'>;
  /** What nodes have reported. */
  live: { get(node: string): { certificateEndsAt?: string | undefined } | undefined };
}

/** @param now milliseconds since 1970 */
export function authorityStatus(parts: Parts, now: number): AuthorityStatus {
  const [signing, old] = parts.authority.trusted;
  const described = (authority: typeof signing) => ({
    fingerprint: authority!.fingerprint,
    endsAt: new Date(authority!.endsAt).toISOString(),
  });
  if (!old) {
    return described(signing);
  }
  const left = nodesLeft(parts, now);
  const tokens = validTokens(parts, now).filter(({ record }) => record.fingerprint !== signing!.fingerprint);
  return {
    ...described(signing),
    rotation: {
      ...described(old),
      nodesLeft: left.slice(0, MAX_NODES_LEFT),
      nodesLeftCount: left.length,
      tokensLeft: tokens.length,
    },
  };
}

/**
 * Nodes, by name, whose certificate is good and of an old authority. One that has ended, or is
 * revoked, does not matter: the node must enrol again anyway.
 */
function nodesLeft({ authority, view, live }: Parts, now: number): string[] {
  return [...view.all('nodes')]
    .filter(([name, { value }]) => {
      const end = live.get(name)?.certificateEndsAt;
      const record = view.get('certificates', name)?.value;
      const hasCertificate = end === undefined ? record !== undefined : Date.parse(end) > now;
      return !value.revoked && hasCertificate && record?.authority !== authority.trusted[0]!.fingerprint;
    })
    .map(([name]) => name)
    .sort();
}
