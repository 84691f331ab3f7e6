/** Join tokens and the authority, as an operator sees them. */
import * as z from 'zod';
import { Name, Timestamp } from './names.ts';

/** Bounds of a join token. */
export const JOIN_TOKEN_LIMITS = {
  /** Seconds that it can be used. */
  lifetime: { least: 60, most: 30 * 24 * 3600, default: 24 * 3600 },
  /** How often a token of a pool can be used. That of a node is used once. */
  uses: 1000,
} as const;

const { lifetime, uses } = JOIN_TOKEN_LIMITS;

/** What a join token is made for. */
export const JoinTokenSpec = z
  .strictObject({
    node: Name.optional().meta({ description: 'The node that may join with it, once. Give node or pool.' }),
    pool: Name.optional().meta({
      description: 'The resource pool into which it registers the nodes that join with it. Give node or pool.',
    }),
    uses: z
      .number()
      .int()
      .min(1)
      .max(uses)
      .optional()
      .meta({ description: 'How many nodes may join with the token of a pool. Required there.' }),
    lifetimeSeconds: z
      .number()
      .int()
      .min(lifetime.least)
      .max(lifetime.most)
      .default(lifetime.default)
      .meta({ description: 'Seconds that it can be used.' }),
  })
  .refine(({ node, pool }) => (node === undefined) !== (pool === undefined), {
    message: 'give either node or pool, and not both',
    path: ['node'],
  })
  .refine(({ pool, uses }) => (pool === undefined) === (uses === undefined), {
    message: 'say for a pool how many nodes may join, and leave it out for a node',
    path: ['uses'],
  })
  .meta({ id: 'JoinTokenSpec', examples: [{ pool: 'pool-a', uses: 20, lifetimeSeconds: 7200 }] });
export type JoinTokenSpec = z.infer<typeof JoinTokenSpec>;

/** A join token without its secret. */
export const JoinTokenInfo = z
  .object({
    id: z.string().meta({ description: 'Names the token, for example to revoke it.' }),
    node: Name.optional(),
    pool: Name.optional(),
    uses: z.number().int().meta({ description: 'How often it can still be used.' }),
    createdAt: Timestamp.optional().meta({ description: 'Absent for a token of an earlier version.' }),
    createdBy: z.string().optional(),
    expiresAt: Timestamp,
    authority: z.string().optional().meta({
      description: 'Fingerprint of the authority that it names. While that is rotated, tokens of both can be used.',
    }),
  })
  .meta({ id: 'JoinTokenInfo' });
export type JoinTokenInfo = z.infer<typeof JoinTokenInfo>;

/** A new join token. */
export const NodeToken = z
  .object({
    id: z.string().meta({ description: 'Names the token, for example to revoke it.' }),
    token: z.string().meta({ description: 'Join token, mp1.SECRET.FINGERPRINT. It is shown only once.' }),
    expiresAt: Timestamp,
  })
  .meta({ id: 'NodeToken' });
export type NodeToken = z.infer<typeof NodeToken>;

/** The most nodes that are named which have not followed a rotation. */
export const MAX_NODES_LEFT = 100;

/** The authority that signs certificates, and how far its rotation is. */
export const AuthorityStatus = z
  .object({
    fingerprint: z.string().meta({ description: 'SHA-256 of its certificate (DER), hex.' }),
    endsAt: Timestamp,
    rotation: z
      .object({
        fingerprint: z.string().meta({ description: 'Of the old authority, which is still trusted.' }),
        endsAt: Timestamp,
        nodesLeft: z.array(Name).meta({
          description: `Nodes that have no certificate of the new authority yet, the first ${MAX_NODES_LEFT} by name.`,
        }),
        nodesLeftCount: z.number().int(),
        tokensLeft: z.number().int().meta({ description: 'Join tokens that name the old authority.' }),
      })
      .optional()
      .meta({ description: 'Absent: it is not rotated.' }),
  })
  .meta({ id: 'AuthorityStatus' });
export type AuthorityStatus = z.infer<typeof AuthorityStatus>;
