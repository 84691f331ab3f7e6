/** The audit log: who asked for what, from where, what it was before and after, and the outcome. */
import * as z from 'zod';
import { ReasonCode } from './errors.ts';
import { Timestamp } from './names.ts';

/** Each kind of change, sign-in and look that the audit log has entries of. */
export const AUDIT_ACTIONS = [
  'create',
  'replace',
  'patch',
  'delete',
  'approve',
  'reject',
  'end',
  'declareDead',
  'token',
  'enroll',
  'renew',
  'revoke',
  'rotate',
  'signIn',
  'signOut',
  'ticket',
  'password',
  'totp',
  'device',
  'test',
  'request',
  'remove',
  'settings',
] as const;

/**
 * Who has acted. `stranger`: nobody has proved who it was; the entry may stand for several
 * refusals.
 */
export const ACTOR_KINDS = ['user', 'token', 'node', 'controller', 'stranger'] as const;
export type ActorKind = (typeof ACTOR_KINDS)[number];

/** Bytes of the changed fields of an entry as JSON, each of before and after: more is left out. */
export const MAX_AUDIT_CHANGES = 4096;

const changes = z.record(z.string(), z.unknown()).optional();

/** An entry of the audit log. */
export const AuditEntry = z
  .object({
    seq: z.number().int().positive().optional().meta({
      description:
        'Number of the entry in the chain. Numbers without an entry are signed checkpoints. Absent: the entry is older than the chain.',
    }),
    prev: z
      .string()
      .optional()
      .meta({ description: 'SHA-256 of the line before this one in the log, without its line end, in hex.' }),
    time: Timestamp,
    actor: z.string().meta({
      description:
        'Name of who acted: of a user, of an API token (admin and read are the files), node:NAME if an agent acted, controller if it acted by itself, unknown if nobody has proved who it was.',
    }),
    actorKind: z.enum(ACTOR_KINDS).optional().meta({
      description:
        'Kind of who acted. stranger: nobody has proved who it was. Absent: the entry is of an older version.',
    }),
    address: z.string().meta({ description: 'Address of the client. unix: the local socket.' }),
    action: z.enum(AUDIT_ACTIONS).meta({
      description:
        'What was asked for. end: the controller ended something by itself. device: a command line was let in. request: any request that was refused before it was read. remove: old entries of the log were removed. ticket: one for a sign-in.',
    }),
    resource: z
      .string()
      .meta({ description: 'Kind and name, for example policies/ids-all; session for signing in and out.' }),
    outcome: z.enum(['done', 'unchanged', 'refused', 'failed']),
    code: ReasonCode.optional().meta({ description: 'Code of the refusal.' }),
    revision: z.number().int().optional().meta({ description: 'Store revision of the change.' }),
    count: z
      .number()
      .int()
      .positive()
      .optional()
      .meta({ description: 'The entry stands for this number of refusals; the fields are those of the last one.' }),
    before: changes.meta({
      description:
        'The fields that were changed, as they were. A list is an object with `count`, and with `names` of some that it lost (`removed`: how many). Absent: there was nothing, or nothing was changed.',
    }),
    after: changes.meta({
      description:
        'The fields that were changed, as they are now. A list is an object with `count`, and with `names` of some that are new (`added`: how many). Absent: it was deleted, or nothing was changed.',
    }),
    detail: z.string().optional().meta({ description: 'For a look: what is looked at, and why; or why it has ended.' }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;

/** What a caller says of an entry. The log adds its number, the hash, and by default the time. */
export type AuditDraft = Omit<AuditEntry, 'seq' | 'prev' | 'time'> & { time?: string };

/** Who has acted, and from where: the fields that every entry has. */
export type AuditWho = Required<Pick<AuditEntry, 'actor' | 'actorKind' | 'address'>>;
