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
  'read',
  'remove',
  'settings',
  'restore',
] as const;

/** What can be done to a log. */
export const AUDIT_FAULTS = ['removed', 'truncated', 'changed', 'inserted', 'reordered', 'forged', 'unsigned'] as const;

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
        'Name of who acted: of a user, of an API token (admin and read are the files), node:NAME if an agent acted, controller if nobody asked, unknown if nobody has proved who it was.',
    }),
    actorKind: z.enum(ACTOR_KINDS).optional().meta({
      description:
        'Kind of who acted. stranger: nobody has proved who it was. Absent: the entry is of an older version.',
    }),
    address: z.string().meta({ description: 'Address of the client. unix: the local socket.' }),
    action: z.enum(AUDIT_ACTIONS).meta({
      description:
        'What was asked for. end: the controller ended something when its time had come. device: a command line was let in. request: any request that was refused because of who sent it. read: packets of a look of another user, the first time. remove: old entries of the log were removed. ticket: one for a sign-in.',
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
    resources: z.array(z.string()).optional().meta({
      description: 'Where the entry stands for several refusals, of different things: some of those things, at most 8.',
    }),
    before: changes.meta({
      description:
        'The fields that were changed, as they were. A list is an object with `count`, and with `names` of some that it lost (`removed`: how many). Absent: there was nothing, or nothing was changed.',
    }),
    after: changes.meta({
      description:
        'The fields that were changed, as they are now. A list is an object with `count`, and with `names` of some that are new (`added`: how many). Absent: it was deleted, or nothing was changed.',
    }),
    unproven: z.enum(['older', 'foreign']).optional().meta({
      description:
        'older: the line was there before the chain began. foreign: the chain does not have the line: someone else has written or changed it, and "mirrorplane audit verify" says more. Absent: the entry is as the controller has written it.',
    }),
    detail: z.string().optional().meta({
      description: 'For a look: what is looked at, and why; or why it has ended. For an enrolment: the join token.',
    }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;

/** What a caller says of an entry. The log adds its number, the hash, and by default the time. */
export type AuditDraft = Omit<AuditEntry, 'seq' | 'prev' | 'time' | 'unproven'> & { time?: string };

/** Who has acted, and from where: the fields that every entry has. */
export type AuditWho = Required<Pick<AuditEntry, 'actor' | 'actorKind' | 'address'>>;

/** What was found wrong with the chain of the audit log. */
const AuditFaultInfo = z.object({
  kind: z.enum(AUDIT_FAULTS).meta({
    description:
      'removed, truncated (removed at the end), changed, inserted, reordered; forged: the hashes were made again without the key; unsigned: the authority has not signed it.',
  }),
  seq: z.number().int().meta({ description: 'Number of the first entry that it is about.' }),
  message: z.string().meta({ description: 'What was done, in one sentence.' }),
});

/** The state of the chain of the audit log. */
export const AuditChain = z
  .object({
    first: z.number().int().meta({ description: 'Number of the oldest line that is kept.' }),
    last: z.number().int().meta({ description: 'Number of the newest line.' }),
    olderElsewhere: z.literal(true).optional().meta({
      description:
        'The leading controller has never had the lines before `first`: etcd had them no more when it began. Controllers that ran before have them.',
    }),
    unsigned: z
      .number()
      .int()
      .meta({ description: 'Lines behind the newest checkpoint. They are signed within a minute.' }),
    checkpoint: z.string().meta({
      description:
        'The newest signed checkpoint, as its line is in the log. Keep it elsewhere, and "audit verify --head" finds what was cut off after it.',
    }),
    authority: z.string().meta({ description: 'Certificates of the authorities that have signed, PEM.' }),
    checked: z
      .object({
        at: Timestamp,
        upTo: z.number().int().meta({ description: 'The lines up to this one are as they were written.' }),
        unchained: z.number().int().meta({ description: 'Lines that are older than the chain, and not checked.' }),
        fault: AuditFaultInfo.optional().meta({ description: 'Absent: there is none.' }),
      })
      .optional()
      .meta({ description: 'The last check of the controller. Absent: there was none since its start.' }),
  })
  .meta({ id: 'AuditChain' });
export type AuditChain = z.infer<typeof AuditChain>;
