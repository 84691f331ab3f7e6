/** Consent to policies: what waits for whom, and who has agreed. */
import * as z from 'zod';
import { InterfaceId, Name, Timestamp } from './names.ts';

/** Rights that consent can stand for. `policy`: that another user agrees, by the four-eyes rule. */
export const CONSENT_RIGHTS = ['policy', 'mirror', 'send'] as const;

/** A right that the author of a policy lacks, or another user has to use. */
export const ConsentNeed = z
  .object({
    right: z.enum(CONSENT_RIGHTS),
    interfaces: z.array(InterfaceId).meta({ description: 'For which interfaces. Empty for policy.' }),
  })
  .meta({ id: 'ConsentNeed' });
export type ConsentNeed = z.infer<typeof ConsentNeed>;

/** Consent that was given. */
export const Consent = ConsentNeed.extend({ by: z.string(), at: Timestamp }).meta({ id: 'Consent' });
export type Consent = z.infer<typeof Consent>;

const asked = {
  requestedBy: z.string().meta({ description: 'Who has asked for it.' }),
  requestedAt: Timestamp,
  needs: z.array(ConsentNeed).meta({ description: 'Consent that is missing.' }),
  given: z.array(Consent).meta({ description: 'Consent that was given.' }),
};

/** Consent to a policy as it is. */
export const Approval = z
  .object({
    state: z.enum(['pending', 'approved', 'rejected']),
    ...asked,
    rejectedBy: z.string().optional(),
    reason: z.string().optional().meta({ description: 'Why it was rejected.' }),
  })
  .meta({ id: 'Approval' });
export type Approval = z.infer<typeof Approval>;

/** A change of a policy that waits for consent. The policy stays as it is until then. */
export function waitingChange<S extends z.ZodType>(spec: S) {
  return z.object({ spec, ...asked }).meta({ id: 'WaitingChange' });
}

/** Something that waits for consent, in short. */
export const WaitingConsent = z
  .object({
    policy: Name,
    kind: z.enum(['policy', 'change']).meta({ description: 'Whether the policy itself waits, or a change of it.' }),
    requestedBy: asked.requestedBy,
    requestedAt: asked.requestedAt,
    rights: z.array(z.enum(CONSENT_RIGHTS)).meta({ description: 'Rights for which consent is missing.' }),
    yours: z.boolean().meta({ description: 'Whether the sender of the request can give some of it.' }),
  })
  .meta({ id: 'WaitingConsent' });
export type WaitingConsent = z.infer<typeof WaitingConsent>;

/** Says no, or withdraws consent. */
export const Rejection = z
  .strictObject({
    reason: z.string().max(1024).optional().meta({ description: 'For who has asked.' }),
    only: z.literal('change').optional().meta({
      description: 'change: refuse a change that waits, and leave the consent to the policy as it is.',
    }),
  })
  .meta({ id: 'Rejection' });
export type Rejection = z.infer<typeof Rejection>;

/** Settings of access. */
export const AccessSettings = z
  .strictObject({
    fourEyes: z.boolean().meta({
      description: 'Whether a new policy, and each change that lets it copy more, needs the consent of another user.',
    }),
  })
  .meta({ id: 'AccessSettings', examples: [{ fourEyes: true }] });
export type AccessSettings = z.infer<typeof AccessSettings>;
