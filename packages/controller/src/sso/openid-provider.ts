/**
 * A provider of OpenID Connect: the authorisation code flow with PKCE (OpenID Connect Core 1.0,
 * section 3.1; RFC 7636). Tokens come over the connection to the provider, never by the browser,
 * and none is kept.
 */
import * as openid from 'openid-client';
import type { Begun } from './begun.ts';
import { grantsOf, groupsIn } from './group-grants.ts';
import { isLoopback } from './loopback.ts';
import { displayName, type ProvenPerson, requireGrants, userName } from './proven-person.ts';
import { providerFailure } from './provider-failure.ts';
import { providerFetch } from './provider-fetch.ts';
import { refused } from './refused.ts';
import type { OpenIdWay } from './sign-in-file.ts';

/** Milliseconds that what a provider says of itself is used. */
const METADATA_MS = 60 * 60 * 1000;
/** Milliseconds after which a provider that did not answer is asked again. */
const RETRY_MS = 5000;
/** Milliseconds for all requests to a provider that one sign-in needs. */
const FINISH_MS = 30_000;

export interface OpenIdProviderOptions {
  /** Where the provider sends the browser back to, exactly as it is registered there. */
  redirectUri: string;
  /** Where the provider sends the browser after signing out. */
  afterSignOut: string;
  /** Milliseconds since 1970. */
  clock: () => number;
}

export class OpenIdProvider {
  readonly way: OpenIdWay;
  readonly #options: OpenIdProviderOptions;
  #found: { configuration: Promise<openid.Configuration>; until: number } | undefined;
  /** What the provider has said last. */
  #known: openid.Configuration | undefined;

  constructor(way: OpenIdWay, options: OpenIdProviderOptions) {
    this.way = way;
    this.#options = options;
  }

  /** Where to send a browser, and what it has to keep. @throws SignInRefused */
  async begin(): Promise<{ location: string; begun: Begun }> {
    const configuration = await this.#configuration();
    const begun = {
      way: this.way.name,
      state: openid.randomState(),
      nonce: openid.randomNonce(),
      verifier: openid.randomPKCECodeVerifier(),
    };
    const location = openid.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#options.redirectUri,
      scope: this.way.scopes.join(' '),
      state: begun.state,
      nonce: begun.nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(begun.verifier),
      code_challenge_method: 'S256',
    });
    return { location: location.href, begun };
  }

  /**
   * Proves the person who came back.
   * @param query of the request to the redirect URI
   * @throws SignInRefused
   */
  async finish(query: URLSearchParams, { state, nonce, verifier }: Begun): Promise<ProvenPerson> {
    const configuration = await this.#configuration();
    const address = new URL(this.#options.redirectUri);
    address.search = query.toString();
    try {
      return await within(FINISH_MS, this.#prove(configuration, address, { state, nonce, verifier }));
    } catch (error) {
      throw providerFailure(error, this.way.title);
    }
  }

  /** Where signing out goes on at the provider. Undefined: it is not wanted, or not known. */
  endSession(): string | undefined {
    if (!this.way.endSession || this.#known?.serverMetadata().end_session_endpoint === undefined) {
      return undefined;
    }
    const parameters = { post_logout_redirect_uri: this.#options.afterSignOut };
    return openid.buildEndSessionUrl(this.#known, parameters).href;
  }

  async #prove(
    configuration: openid.Configuration,
    address: URL,
    { state, nonce, verifier }: Omit<Begun, 'way'>,
  ): Promise<ProvenPerson> {
    const tokens = await openid.authorizationCodeGrant(configuration, address, {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: verifier,
      idTokenExpected: true,
    });
    const proven = tokens.claims()!;
    const { nameClaim, groupsClaim, title, name, grants } = this.way;
    let claims: Record<string, unknown> = proven;
    if (claims[nameClaim] === undefined || claims[groupsClaim] === undefined) {
      claims = { ...(await this.#userInfo(configuration, tokens.access_token, proven.sub)), ...proven };
    }
    const groups = groupsIn(claims[groupsClaim]) ?? [];
    const person: ProvenPerson = {
      name: userName(name, claims[nameClaim], title),
      ...displayName(claims.name),
      source: 'oidc',
      subject: `${proven.iss} ${proven.sub}`,
      grants: grantsOf(groups, grants),
    };
    return requireGrants(person, title, groups);
  }

  /** Claims that are not in the ID token. The provider need not have any. */
  async #userInfo(configuration: openid.Configuration, accessToken: string, subject: string): Promise<object> {
    return configuration.serverMetadata().userinfo_endpoint === undefined
      ? {}
      : openid.fetchUserInfo(configuration, accessToken, subject);
  }

  /** What the provider says of itself. Whoever asks meanwhile waits for the same answer. */
  async #configuration(): Promise<openid.Configuration> {
    const now = performance.now();
    if (this.#found === undefined || now >= this.#found.until) {
      const found = { configuration: this.#discover(), until: now + METADATA_MS };
      this.#found = found;
      found.configuration.then(
        (configuration) => {
          this.#known = configuration;
        },
        () => {
          found.until = performance.now() + RETRY_MS;
        },
      );
    }
    try {
      return await this.#found.configuration;
    } catch (error) {
      throw providerFailure(error, this.way.title);
    }
  }

  async #discover(): Promise<openid.Configuration> {
    const { issuer, clientId, clientSecret, ca, timeoutSeconds, clockToleranceSeconds } = this.way;
    const server = new URL(issuer);
    const { clock } = this.#options;
    const metadata: Partial<openid.ClientMetadata> = {
      [openid.clockTolerance]: clockToleranceSeconds,
      [openid.clockSkew]: Math.round((clock() - Date.now()) / 1000),
    };
    const proof = clientSecret === undefined ? openid.None() : openid.ClientSecretBasic(clientSecret);
    const configuration = await openid.discovery(server, clientId, metadata, proof, {
      [openid.customFetch]: providerFetch({ ca, timeoutMs: timeoutSeconds * 1000 }),
      timeout: timeoutSeconds,
      execute: [
        // The signature of an ID token is checked too, though it comes from the provider itself.
        openid.enableNonRepudiationChecks,
        ...(isLoopback(server.hostname) ? [openid.allowInsecureRequests] : []),
      ],
    });
    const { code_challenge_methods_supported: methods } = configuration.serverMetadata();
    if (methods !== undefined && !methods.includes('S256')) {
      throw refused('SIGN_IN_AWAY', `${this.way.title} cannot be used: it has no PKCE with S256`);
    }
    return configuration;
  }
}

/** @throws Error if it takes longer */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DOMException('it took too long', 'TimeoutError')), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
