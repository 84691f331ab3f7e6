/** People: users, their API tokens, and how they sign in. */
import * as z from 'zod';
import { Grant, Right } from './access.ts';
import { Name, Timestamp } from './names.ts';
import { Warning } from './policy.ts';

const CONTROL = /\p{Cc}/u;
/** Grants of one user or token, at most. */
export const MAX_GRANTS = 64;
/**
 * The name of a user, as in `alice` or `alice@example.org`; of single sign-on with the name of the
 * way to sign in before it, as in `corp:alice`.
 */
export const UserName = z
  .string()
  .regex(
    /^([a-z0-9][-a-z0-9]{0,30}:)?[a-z0-9]([-a-z0-9._@+]{0,94}[a-z0-9])?$/,
    'use 1 to 96 lower-case letters, digits and . _ @ + -, with a letter or digit at both ends, for example "alice"',
  )
  .meta({ id: 'UserName', examples: ['alice'] });

/** Who knows that a person is who they say: we, or the system that signed them in. */
export const USER_SOURCES = ['local', 'oidc', 'ldap'] as const;
export const UserSource = z.enum(USER_SOURCES).meta({
  id: 'UserSource',
  description: 'local: has a password here. oidc, ldap: signs in elsewhere, and has grants by groups of that system.',
});
export type UserSource = z.infer<typeof UserSource>;

export const Grants = z.array(Grant).max(MAX_GRANTS);
const DisplayName = z
  .string()
  .max(128)
  .refine((text) => !CONTROL.test(text), 'write the name in one line, without control characters')
  .meta({ description: 'Name for people.' });

/** What can be set of a user. */
export const UserSpec = z
  .strictObject({
    displayName: DisplayName.optional(),
    grants: Grants.meta({ description: 'Roles, each with or without a scope.' }),
    disabled: z.boolean().default(false).meta({ description: 'true: cannot sign in, and has no tokens.' }),
  })
  .meta({ id: 'UserSpec', examples: [{ displayName: 'Alice', grants: [{ role: 'operator' }] }] });
export type UserSpec = z.infer<typeof UserSpec>;

export const User = z
  .object({
    name: UserName,
    displayName: DisplayName.optional(),
    source: UserSource,
    grants: Grants,
    disabled: z.boolean(),
    hasPassword: z.boolean().meta({ description: 'false: cannot sign in with a password of Mirrorplane.' }),
    mustChangePassword: z.boolean().meta({ description: 'true: has no rights until the password is changed.' }),
    totp: z.boolean().meta({ description: 'true: signs in with a code of an authenticator app, too.' }),
    recoveryCodes: z.number().int().meta({ description: 'Recovery codes that are left.' }),
    createdAt: Timestamp,
    createdBy: z.string(),
    lastSignInAt: Timestamp.optional(),
    revision: z.number().int(),
    warnings: z
      .array(Warning)
      .optional()
      .meta({ description: 'What its author should know of a change. Absent: nothing.' }),
  })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

/** The text of a password, of any form: rules are judged elsewhere. */
export const PasswordText = z.string().min(1).max(1024);
/** A code of an authenticator app, or a recovery code. */
export const SecondFactor = z.string().min(1).max(64);

export const PasswordChange = z
  .strictObject({
    current: PasswordText.optional().meta({ description: 'Your password today. Needed for your own.' }),
    password: PasswordText.optional().meta({
      description: 'The new one, at least 15 characters. Absent, for another user: one is made, and is in the answer.',
    }),
  })
  .meta({ id: 'PasswordChange' });
export type PasswordChange = z.infer<typeof PasswordChange>;

export const PasswordChanged = z
  .object({
    password: z.string().optional().meta({ description: 'The password that was made. It is shown only here.' }),
    user: User,
  })
  .meta({ id: 'PasswordChanged' });

export const TotpBegin = z
  .strictObject({ password: PasswordText.meta({ description: 'Your password, or your code would be of little use.' }) })
  .meta({ id: 'TotpBegin' });

export const TotpSecret = z
  .object({
    secret: z.string().meta({ description: 'In base32, for an authenticator app. It is shown only here.' }),
    uri: z.string().meta({ description: 'The same as an address, for a QR code.' }),
    expiresAt: Timestamp.meta({ description: 'Confirm it with a code before.' }),
  })
  .meta({ id: 'TotpSecret' });

export const TotpConfirm = z.strictObject({ code: SecondFactor }).meta({ id: 'TotpConfirm' });

export const RecoveryCodes = z
  .object({
    recoveryCodes: z.array(z.string()).meta({
      description: 'Each signs in once in place of a code of the app. They are shown only here.',
    }),
  })
  .meta({ id: 'RecoveryCodes' });

/** Where a token comes from. */
export const TOKEN_SOURCES = ['file', 'api', 'login'] as const;
export const TokenSource = z.enum(TOKEN_SOURCES).meta({
  id: 'TokenSource',
  description: 'file: in the data directory of the controller. api: made for a program. login: of "mirrorplane login".',
});

/** A token of the API, without its secret. */
export const ApiTokenInfo = z
  .object({
    name: Name,
    source: TokenSource,
    user: z.string().meta({ description: 'Whose it is: a user; admin or read for a token in a file.' }),
    grants: Grants,
    createdAt: Timestamp.optional(),
    from: z.string().optional().meta({ description: 'Address, and for a login the host name, that it was made from.' }),
    expiresAt: Timestamp.optional().meta({ description: 'Absent: never.' }),
    lastUsedAt: Timestamp.optional().meta({ description: 'Within five minutes. Absent: not used yet, or not known.' }),
  })
  .meta({ id: 'ApiToken' });
export type ApiTokenInfo = z.infer<typeof ApiTokenInfo>;

export const ApiTokenCreate = z
  .strictObject({
    name: Name,
    grants: Grants.min(1).optional().meta({ description: 'Never more than yours. Default: yours.' }),
    expiresAt: z
      .union([
        z.literal('never'),
        z.iso.datetime({ offset: true, error: 'write "never", or a time of ISO 8601, as in 2026-12-31T12:00:00Z' }),
      ])
      .meta({ description: 'When it ends: a time, or never.' }),
  })
  .meta({ id: 'ApiTokenCreate', examples: [{ name: 'ci', expiresAt: '2027-01-31T12:00:00Z' }] });
export type ApiTokenCreate = z.infer<typeof ApiTokenCreate>;

export const ApiTokenCreated = z
  .object({
    token: z.string().meta({ description: 'The token. It is shown only here.' }),
    info: ApiTokenInfo,
    warnings: z.array(Warning).optional().meta({ description: 'What its author should know. Absent: nothing.' }),
  })
  .meta({ id: 'ApiTokenCreated' });

/** A login that waits for consent. */
export const DeviceStart = z
  .strictObject({
    host: z
      .string()
      .max(253)
      .refine((text) => !CONTROL.test(text), 'write the host name without control characters')
      .optional()
      .meta({ description: 'Name of the host that asks. It is shown to who confirms.' }),
  })
  .meta({ id: 'DeviceStart' });

export const DeviceStarted = z
  .object({
    deviceCode: z.string().meta({ description: 'Secret. Ask with it until the login is confirmed.' }),
    userCode: z.string().meta({ description: 'Type it at the page of the console.', examples: ['WDJB-MJHT'] }),
    path: z.string().meta({ description: 'Path of the page of the console.' }),
    expiresAt: Timestamp,
    interval: z.number().int().meta({ description: 'Seconds between two requests.' }),
  })
  .meta({ id: 'DeviceStarted' });

export const DevicePoll = z.strictObject({ deviceCode: z.string().min(1).max(128) }).meta({ id: 'DevicePoll' });

export const DeviceAnswer = z
  .object({
    state: z.enum(['pending', 'confirmed', 'refused']),
    token: z.string().optional().meta({ description: 'The token, once the login is confirmed. It is told once.' }),
    info: ApiTokenInfo.optional(),
  })
  .meta({ id: 'DeviceAnswer' });

/** What is shown to who confirms a login. */
export const DeviceRequest = z
  .object({
    userCode: z.string(),
    address: z.string().meta({ description: 'Address from which the request came.' }),
    host: z.string().optional().meta({ description: 'Host name, as the request said: not proven.' }),
    askedAt: Timestamp,
    expiresAt: Timestamp,
    tokenExpiresAt: Timestamp.meta({ description: 'When the token would end.' }),
  })
  .meta({ id: 'DeviceRequest' });

export const DeviceDecision = z.strictObject({ confirm: z.boolean() }).meta({ id: 'DeviceDecision' });

/** The rights of the person who asks, for the console. */
export const Rights = z.array(Right);
