/** The file of `--sign-in`: where people are proven, and which groups have which grants. */
import { Grant } from '@mirrorplane/contract';
import * as z from 'zod';
import { isLoopback } from './loopback.ts';

/** Ways of each kind, servers of a directory, groups with grants, and grants of a group. */
const MAX_WAYS = 8;
const MAX_SERVERS = 8;
const MAX_GROUPS = 1000;
const MAX_GRANTS = 64;

const Text = z.string().min(1).max(512);
const File = z.string().min(1).max(4096);
/** Numbers of the file are text. */
const Whole = (least: number, most: number) =>
  z.coerce.number(`use a whole number of ${least} to ${most}`).int().min(least).max(most);

const WayName = z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, {
  error: 'use a lower-case letter and up to 30 letters, digits and "-", for example "keycloak"',
});

const GroupGrants = z
  .record(Text, z.array(Grant).min(1).max(MAX_GRANTS))
  .refine((groups) => Object.keys(groups).length > 0, 'name at least one group: without one, nobody can sign in')
  .refine((groups) => Object.keys(groups).length <= MAX_GROUPS, `use ${MAX_GROUPS} groups at most`);

function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  const safe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
  return safe && `${username}${password}${search}${hash}` === '';
}

const Issuer = Text.refine(isSafeAddress, 'use the address of the provider with https://, without "?" and "#"').refine(
  // The names that Microsoft has for "any tenant": everybody with an account there could come.
  (text) => !/^https:\/\/login\.microsoftonline\.com\/(common|organizations|consumers)(\/|$)/.test(text),
  'use the address of your own tenant: this one is of all tenants',
);

const Address = Text.refine(
  (text) => isSafeAddress(text) && new URL(text).pathname === '/',
  'use the address of the console as browsers write it: https://NAME, perhaps with a port, and no path',
).transform((text) => new URL(text).origin);

const Server = Text.refine(
  (text) => /^ldaps?:\/\/([^/?#@\s[\]]+|\[[0-9a-fA-F:]+\](:\d+)?)\/?$/.test(text) && URL.canParse(text),
  'use ldaps://HOST or ldap://HOST, perhaps with a port',
);

/** A provider of OpenID Connect. */
export const OpenIdSettings = z
  .strictObject({
    name: WayName,
    title: Text.max(64),
    issuer: Issuer,
    clientId: Text,
    clientSecretFile: File.optional(),
    scopes: z
      .array(z.string().regex(/^[!-~]{1,128}$/, 'use printable characters without spaces'))
      .min(1)
      .max(32)
      .default(['openid', 'profile']),
    nameClaim: Text.default('preferred_username'),
    groupsClaim: Text.default('groups'),
    caFile: File.optional(),
    timeoutSeconds: Whole(1, 30).default(10),
    clockToleranceSeconds: Whole(1, 300).default(30),
    endSession: z.boolean().default(false),
    grants: GroupGrants,
  })
  .refine(({ scopes }) => scopes.includes('openid'), {
    error: 'add "openid": without it, the provider proves nobody',
    path: ['scopes'],
  });
export type OpenIdSettings = z.infer<typeof OpenIdSettings>;

const Template = (part: string, example: string) =>
  Text.refine((text) => text.includes(part), `write ${part} where it belongs, for example "${example}"`);

/** A directory that is asked by LDAP. */
export const LdapSettings = z
  .strictObject({
    name: WayName,
    title: Text.max(64),
    servers: z.array(Server).min(1).max(MAX_SERVERS),
    startTls: z.boolean().default(false),
    allowPlain: z.boolean().default(false),
    caFile: File.optional(),
    timeoutSeconds: Whole(1, 30).default(10),
    account: z.strictObject({ dn: Text, passwordFile: File }).optional(),
    users: z.strictObject({ base: Text, filter: Template('{user}', '(uid={user})') }).optional(),
    userDn: Template('{user}', 'uid={user},ou=people,dc=example,dc=com').optional(),
    nameAttribute: Text.default('uid'),
    groups: z.union(
      [
        z.strictObject({ attribute: Text }),
        z.strictObject({
          base: Text,
          filter: Template('{dn}', '(&(objectClass=groupOfNames)(member={dn}))'),
          nameAttribute: Text.default('cn'),
        }),
      ],
      'give either attribute, for example "memberOf", or base and filter, for example "(member={dn})"',
    ),
    grants: GroupGrants,
  })
  .refine(({ users, userDn }) => (users === undefined) !== (userDn === undefined), {
    error: 'give either users with base and filter, or userDn, and not both',
    path: ['users'],
  })
  .superRefine(({ servers, startTls, allowPlain }, context) => {
    for (const [index, server] of servers.entries()) {
      const { protocol, hostname } = new URL(server);
      if (protocol === 'ldap:' && !startTls && !allowPlain && !isLoopback(hostname)) {
        context.addIssue({
          code: 'custom',
          message: 'passwords would cross the network unencrypted: use ldaps://, or set startTls: true',
          path: ['servers', index],
        });
      }
    }
  });
export type LdapSettings = z.infer<typeof LdapSettings>;

/** The whole file. */
export const SignInSettings = z
  .strictObject({
    address: Address.optional(),
    openid: z.array(OpenIdSettings).max(MAX_WAYS).default([]),
    ldap: z.array(LdapSettings).max(MAX_WAYS).default([]),
  })
  .refine(({ openid, address }) => openid.length === 0 || address !== undefined, {
    error: 'it is missing: providers send browsers back to it, for example "address: https://mirror.example.com"',
    path: ['address'],
  })
  .superRefine(({ openid, ldap }, context) => {
    const seen = new Set<string>();
    for (const [kind, ways] of Object.entries({ openid, ldap })) {
      for (const [index, { name }] of ways.entries()) {
        if (seen.has(name)) {
          context.addIssue({
            code: 'custom',
            message: `"${name}" is used twice: give each its own name`,
            path: [kind, index, 'name'],
          });
        }
        seen.add(name);
      }
    }
  });
export type SignInSettings = z.infer<typeof SignInSettings>;
