/**
 * `/` and `/assets`: serves the console. A path that is neither a file nor a route gets the page
 * itself, because the URL holds the state of the page.
 */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleFile, ConsoleFiles } from './console-files.ts';

/** What stands for the nonce in the built page. */
const NONCE_PLACE = '__NONCE__';

/**
 * The page may only load from this controller. Its component library adds styles to the page: they
 * are allowed by a nonce of this load, and no others.
 */
const pagePolicy = (nonce: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');

/** Headers of every answer. The page has a policy of its own. */
const HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** Headers of the page: nothing of it is shared with pages that it opens, or that open it. */
const PAGE_HEADERS = {
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': [
    'accelerometer',
    'camera',
    'display-capture',
    'geolocation',
    'gyroscope',
    'hid',
    'microphone',
    'midi',
    'payment',
    'publickey-credentials-get',
    'serial',
    'usb',
  ]
    .map((feature) => `${feature}=()`)
    .join(', '),
};

/**
 * Browsers use TLS alone for this host from then on, for a year (RFC 6797). They ignore the header
 * where they do not trust the certificate.
 */
const ONLY_TLS = `max-age=${365 * 24 * 60 * 60}`;

const NOT_BUILT = `Mirrorplane: the console is not built.

In a source tree, build it with "make console", and load this page again.
A console in another folder: start the controller with --console FOLDER.
The API is at /api/v1: see /api/v1/openapi.json.
`;

/** Paths below which there is no page of the console. */
const NO_PAGES = /^\/(api|assets|metrics|healthz|readyz)(\/|$)/;

/** Adds security headers to every answer. */
export function addHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS);
    if (request.sender.byTls) {
      reply.header('strict-transport-security', ONLY_TLS);
    }
    if (/^\/(api|metrics)\b/.test(request.url)) {
      // Otherwise data of one user would stay in the browser for the next user.
      reply.header('cache-control', 'no-store');
    }
  });
}

/** Serves the files of the console. */
export function serveConsole(app: FastifyInstance, files: ConsoleFiles): void {
  app.get('/', (_request, reply) => sendPage(reply, files));
  app.get<{ Params: { '*': string } }>('/assets/*', async (request, reply) => {
    const file = await files.file(`assets/${request.params['*']}`);
    if (!file) {
      return reply.code(404).type('text/plain').header('cache-control', 'no-store').send('there is no such file\n');
    }
    // The name has a hash of the content, so the file never changes.
    reply.header('cache-control', 'public, max-age=31536000, immutable');
    return sendFile(request, reply, file);
  });
}

/**
 * Answers a request without a route, if it is for the page or a file of the console. @returns
 * whether it did
 */
export async function answeredByConsole(
  request: FastifyRequest,
  reply: FastifyReply,
  files: ConsoleFiles,
): Promise<boolean> {
  const pathname = request.url.split('?')[0]!;
  if (!['GET', 'HEAD'].includes(request.method) || NO_PAGES.test(pathname)) {
    return false;
  }
  const file = pathname === '/index.html' ? undefined : await files.file(pathname.slice(1));
  if (file) {
    reply.header('cache-control', 'no-cache');
    sendFile(request, reply, file);
    return true;
  }
  if (!request.headers.accept?.includes('text/html') || !(await files.index())) {
    return false;
  }
  await sendPage(reply, files);
  return true;
}

async function sendPage(reply: FastifyReply, files: ConsoleFiles): Promise<FastifyReply> {
  const page = await files.index();
  reply.header('cache-control', 'no-store');
  if (!page) {
    return reply.code(404).type('text/plain; charset=utf-8').send(NOT_BUILT);
  }
  const nonce = randomBytes(16).toString('base64url');
  reply.headers({ ...PAGE_HEADERS, 'content-security-policy': pagePolicy(nonce) }).type(page.type);
  return reply.send(page.content.toString().replaceAll(NONCE_PLACE, nonce));
}

function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { type, etag, content, gzipped }: ConsoleFile,
): FastifyReply {
  reply.headers({ etag, vary: 'accept-encoding' }).type(type);
  if (request.headers['if-none-match'] === etag) {
    return reply.code(304).send();
  }
  if (gzipped && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    return reply.header('content-encoding', 'gzip').send(gzipped);
  }
  return reply.send(content);
}
