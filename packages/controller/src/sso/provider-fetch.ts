/**
 * Requests to a provider of OpenID Connect: bounded in time and size, without redirects, and with
 * the certificates that the operator trusts.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { CustomFetch } from 'openid-client';

/** The largest answer of a provider, in bytes. */
const MAX_ANSWER = 1 << 20;
/** Statuses that have no body. */
const WITHOUT_BODY = [204, 205, 304];

export interface ProviderFetchOptions {
  /** Certificates that are trusted in place of those of the system, as PEM. */
  ca?: string | undefined;
  /** Milliseconds for one request with its answer. */
  timeoutMs: number;
}

/** `fetch` for a provider. */
export function providerFetch({ ca, timeoutMs }: ProviderFetchOptions): CustomFetch {
  return async (address, { method, headers, body, signal }) => {
    const url = new URL(address);
    const limit = AbortSignal.timeout(timeoutMs);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = {
        method,
        headers,
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        agent: false as const,
      };
      const request =
        url.protocol === 'https:'
          ? httpsRequest(url, { ...options, ...(ca !== undefined && { ca }) })
          : httpRequest(url, options);
      request.once('response', resolve).once('error', reject);
      request.end(body === undefined || body === null ? undefined : bodyText(body));
    });
    const status = answer.statusCode!;
    const content = await read(answer);
    return new Response(WITHOUT_BODY.includes(status) ? null : content, { status, headers: headersOf(answer) });
  };
}

function bodyText(body: unknown): string {
  if (typeof body === 'string' || body instanceof URLSearchParams) {
    return body.toString();
  }
  throw new TypeError('only text is sent to a provider');
}

async function read(answer: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER) {
      answer.destroy();
      throw new Error(`the answer has more than ${MAX_ANSWER} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    headers.append(rawHeaders[at]!, rawHeaders[at + 1]!);
  }
  return headers;
}
