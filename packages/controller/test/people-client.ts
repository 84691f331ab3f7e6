/** People at browsers and programs with tokens, from any address of the loopback network. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import path from 'node:path';
import { TOTP } from 'otpauth';
import type { Bench, Reply } from './harness.ts';

export const SESSION = '/api/v1/session';
export const nobody = { token: undefined };

/** A browser that has signed in. */
export interface Browser {
  cookie: string;
  csrf: string;
  reply: Reply;
}

/** Signs in, which has to succeed. */
export async function signIn(bench: Bench, body: object): Promise<Browser> {
  const reply = await bench.post(SESSION, body, nobody);
  assert.equal(reply.status, 201, reply.text);
  return browserOf(reply);
}

export function browserOf(reply: Reply): Browser {
  return { cookie: String(reply.headers['set-cookie']).split(';')[0]!, csrf: reply.body.csrfToken, reply };
}

/** A request of the console in this browser. */
export function by(bench: Bench, browser: Browser, method: string, url: string, body?: unknown): Promise<Reply> {
  const origin = `http://${bench.controller.addresses[0]}`;
  const headers = { cookie: browser.cookie, origin, 'x-mirrorplane-csrf': browser.csrf };
  return bench.request(method, url, body, { ...nobody, headers });
}

/** The password that the first start has made. */
export function firstPassword({ data }: Bench): string {
  return readFileSync(path.join(data, 'first-password'), 'utf8').trim();
}

/** A user who can sign in, and the password. */
export async function makeUser(bench: Bench, name: string, role = 'operator'): Promise<string> {
  const url = `/api/v1/users/${name}`;
  await bench.must('PUT', url, { grants: [{ role }] });
  const { password: given } = await bench.must('POST', `${url}/password`, {});
  const browser = await signIn(bench, { user: name, password: given });
  const password = `a password of ${name} alone`;
  const changed = await by(bench, browser, 'POST', `${url}/password`, { current: given, password });
  assert.equal(changed.status, 200, changed.text);
  return password;
}

/** The code of an authenticator app, `ahead` milliseconds from now. */
export function codeOf(secret: string, ahead = 0): string {
  return new TOTP({ secret }).generate({ timestamp: Date.now() + ahead });
}

/** Many programs that try passwords, each from an address of its own. */
export class Guessers {
  readonly #port: number;
  readonly #agents = new Map<string, Agent>();

  constructor(bench: Bench) {
    this.#port = Number(bench.controller.addresses[0]!.split(':')[1]);
  }

  /** Status of one try. @param address of 127.0.0.0/8 */
  async try(address: string, body: object): Promise<number> {
    const agent = this.#agents.get(address) ?? new Agent({ keepAlive: true, maxSockets: 1, localAddress: address });
    this.#agents.set(address, agent);
    const text = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: '127.0.0.1', port: this.#port, method: 'POST', path: SESSION, headers, agent },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode!));
        },
      );
      request.on('error', reject);
      request.end(text);
    });
  }

  close(): void {
    for (const agent of this.#agents.values()) {
      agent.destroy();
    }
  }
}
