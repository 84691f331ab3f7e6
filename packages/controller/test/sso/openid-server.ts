/**
 * A provider of OpenID Connect on loopback: `oidc-provider`, with people and groups of its own. A
 * token can be changed on its way out, to see what a bad provider would do.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { decodeJwt, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
// @ts-expect-error: the package has no types
import Provider from 'oidc-provider';

export const CLIENT = { client_id: 'mirrorplane', client_secret: 'a secret of the test, long enough for HS256' };
/** A second client of the provider. */
export const OTHER_CLIENT = 'another-application';

/** People by name: their groups, and claims in place of the usual ones. */
export const PEOPLE: Record<string, { groups: string[]; claims?: Record<string, unknown> }> = {
  anna: { groups: ['mirror-admins', 'staff'] },
  otto: { groups: ['netops'] },
  nobody: { groups: ['staff', 'lunch'] },
  Ursel: { groups: ['netops'] },
  spacy: { groups: ['netops'], claims: { preferred_username: 'two words' } },
  crowd: { groups: [...Array.from({ length: 400 }, (_, index) => `group-${index}`), 'netops'] },
};

type Key = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

export class OpenIdServer {
  readonly issuer: string;
  /** Changes the claims of ID tokens on their way out. They are signed again. */
  change: ((claims: JWTPayload) => JWTPayload) | undefined;
  /** Signs in place of the provider's key, if a token is changed. */
  signWith: Key | undefined;
  /** Does not answer requests for tokens. */
  silent = false;
  readonly #server: Server;

  private constructor(server: Server, issuer: string) {
    this.#server = server;
    this.issuer = issuer;
  }

  /** @param redirectUris where the client may send browsers back to */
  static async start(t: TestContext, redirectUris: string[], idTokenClaims = true): Promise<OpenIdServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    // Another site than the controller's, for browsers.
    const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
    const self = new OpenIdServer(server, issuer);
    t.after(() => self.close());
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    const provider = new Provider(issuer, await configuration(privateKey, redirectUris, idTokenClaims));
    provider.use(async (context: Any, next: () => Promise<void>) => {
      if (context.path === '/token' && self.silent) {
        await new Promise((resolve) => context.req.once('close', resolve));
        return;
      }
      await next();
      const token = context.path === '/token' && context.body?.id_token;
      if (token && self.change) {
        const signed = new SignJWT(self.change(decodeJwt(token))).setProtectedHeader({ alg: 'RS256', kid: 'key-1' });
        context.body = { ...context.body, id_token: await signed.sign(self.signWith ?? privateKey) };
      }
    });
    const answer = provider.callback();
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction/')) {
        void interact(provider, request, response);
      } else {
        void answer(request, response);
      }
    });
    return self;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

async function configuration(key: Key, redirectUris: string[], idTokenClaims: boolean): Promise<object> {
  const jwk = { ...(await exportJWK(key)), kid: 'key-1', alg: 'RS256', use: 'sig' };
  return {
    clients: [
      {
        ...CLIENT,
        redirect_uris: redirectUris,
        post_logout_redirect_uris: redirectUris.map((uri) => `${new URL(uri).origin}/`),
      },
      { ...CLIENT, client_id: OTHER_CLIENT, redirect_uris: redirectUris },
    ],
    jwks: { keys: [jwk] },
    cookies: { keys: ['a key of the test'] },
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    conformIdTokenClaims: !idTokenClaims,
    pkce: { required: () => true },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 3600, AuthorizationCode: 60 },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups: PEOPLE[id]?.groups, ...PEOPLE[id]?.claims }),
    }),
  };
}

// The package has no types.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any;

/** Signs in whoever is named in `?person=` of the form, or shows the form. */
async function interact(provider: Any, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { prompt, params } = await provider.interactionDetails(request, response);
  const person = new URL(request.url!, 'http://provider').searchParams.get('person');
  if (prompt.name === 'login' && person === 'cancel') {
    const result = { error: 'access_denied', error_description: 'You stopped it \u001b[31mhere' };
    await provider.interactionFinished(request, response, result);
  } else if (prompt.name === 'login' && person === null) {
    response.setHeader('content-type', 'text/html');
    response.end('<form><label>Person <input name="person"></label><button>Let me in</button></form>');
  } else if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: person } });
  } else {
    const { accountId } = (await provider.interactionDetails(request, response)).session;
    const grant = new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope('openid profile groups');
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  }
}
