/** A controller and a provider of OpenID Connect that know each other. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Bench, temporaryFolder } from '../harness.ts';
import { freePort } from './directory-server.ts';
import { CLIENT, OpenIdServer } from './openid-server.ts';

/** Path of the routes for sign-ins. */
export const PATH = '/api/v1/sign-in';

export interface World {
  bench: Bench;
  provider: OpenIdServer;
  /** Origin of the controller. */
  address: string;
}

/**
 * @param more lines of the file of `--sign-in`
 * @param outside origin of the console, where a proxy is in front of the controller
 */
export async function startWorld(
  t: TestContext,
  { idTokenClaims = true, more = '', outside }: { idTokenClaims?: boolean; more?: string; outside?: string } = {},
): Promise<World> {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const provider = await OpenIdServer.start(t, [`${address}${PATH}/corp/callback`], idTokenClaims);
  const file = path.join(temporaryFolder(t), 'sign-in.yaml');
  writeFileSync(path.join(path.dirname(file), 'secret'), CLIENT.client_secret, { mode: 0o600 });
  writeFileSync(
    file,
    `address: ${outside ?? address}
openid:
  - name: corp
    title: Example Corp
    issuer: ${provider.issuer}
    clientId: ${CLIENT.client_id}
    clientSecretFile: secret
    scopes: [openid, profile, groups]
    endSession: true
    grants:
      mirror-admins: [{ role: admin }]
      netops: [{ role: operator, scope: { pools: [east] } }]
${more}`,
  );
  const bench = await Bench.start(t, 0, { listen: [`127.0.0.1:${port}`], signIn: file });
  return { bench, provider, address };
}
