/** Signs checkpoints of the audit log with the key of the authority. */
import type { Signer } from '../audit/chain.ts';
import type { Authority } from './authority.ts';

/** The authority that signs certificates signs the log, also after a rotation. */
export function auditSigner(authority: Authority): Signer {
  return {
    get fingerprint() {
      return authority.fingerprint;
    },
    get pem() {
      return authority.trustedPem + authority.formerPem;
    },
    async signText(text) {
      const { signature } = await authority.sign(new TextEncoder().encode(text));
      return signature.toString('base64');
    },
  };
}
