/** The HTTP side: all routes, and one shape for everything that goes wrong. */
import type { Server } from 'node:https';
import { type ErrorCode, jsonText, type Problem, problem, shapeProblem, TEST_LIMITS } from '@mirrorplane/contract';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { bounded } from '../problems/bounded.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { StoreDiskError, StoreUnavailableError } from '../store/store.ts';
import type { ApiCertificate } from '../tls/api-certificate.ts';
import { expectTls } from '../tls/expect-tls.ts';
import { HANDSHAKE_TIMEOUT_MS, secureOptions } from '../tls/options.ts';
import { boundConnections, STALLED_ANSWER_MS } from './connections.ts';
import { addHeaders, answeredByConsole, serveConsole } from './console.ts';
import { ConsoleFiles } from './console-files.ts';
import { allowedAt } from './find-route.ts';
import { openapiBytes } from './openapi.ts';
import { noteRefused } from './refused-request.ts';
import { route, serve } from './route.ts';
import { ROUTES } from './routes.ts';
import { findSenders } from './sender.ts';
import { serveCallbacks } from './sign-in.ts';
import { answerWhileLeading } from './sure-answers.ts';
import { answerAll, answerUnreadable } from './unreadable.ts';

/** The largest body that is read, in bytes. */
export const BODY_LIMIT = 1024 * 1024;

/**
 * Milliseconds in which the head of a request must arrive, and below it the whole request. An
 * answer may take longer.
 */
/** Seconds after which it is worth trying again, by the code of a refusal. */
const RETRY_AFTER_S: Partial<Record<ErrorCode, number>> = {
  TRIES_EXCEEDED: 60,
  // A test has ended by then.
  TESTS_EXCEEDED: TEST_LIMITS.ms / 1000,
  SIGN_IN_AWAY: 10,
  UNAVAILABLE: 5,
};
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;

/**
 * Makes a server for nobody: the first one of a process takes a second on a busy host, and others
 * some hundredths of it. A follower does this while it has time.
 */
export async function warmUp(): Promise<void> {
  const app = Fastify({ logger: false });
  app.get('/', () => '');
  await app.ready();
  await app.close();
}

/** Builds the server. The caller makes it listen. @param certificate for TLS; undefined: without TLS */
export function buildApp(services: Services, certificate?: ApiCertificate): FastifyInstance {
  const app = Fastify({
    loggerInstance: services.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: STALLED_ANSWER_MS,
    ...serverOptions(certificate),
    // An interface id may be 128 characters, each of them percent-encoded.
    routerOptions: { maxParamLength: 512 },
    return503OnClosing: true,
    clientErrorHandler: answerUnreadable,
    // Refusals of fastify before routing, for example a URL that cannot be decoded.
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply as unknown as FastifyReply, request as FastifyRequest, problemOf(error, services));
    },
  }) as unknown as FastifyInstance;
  if (certificate) {
    const server = app.server as unknown as Server;
    certificate.onChange((newer) => server.setSecureContext(secureOptions(newer)));
    expectTls(server);
  }
  findSenders(app, services);
  boundConnections(app, services);
  answerWhileLeading(app, services);
  answerAll(app.server);
  app.setReplySerializer((body) => jsonText(body));
  app.removeAllContentTypeParsers();
  for (const type of ['application/json', 'application/merge-patch+json']) {
    app.addContentTypeParser(type, { parseAs: 'string' }, parseJson);
  }
  app.decorateRequest('who');
  const routes = [...ROUTES];
  app.setErrorHandler((error, request, reply) =>
    sendProblem(reply, request, problemOf(error as FastifyError, services)),
  );
  const files = new ConsoleFiles(services.console);
  addHeaders(app);
  serveConsole(app, files);
  serveCallbacks(app, services);
  app.setNotFoundHandler(async (request, reply) => {
    if (await answeredByConsole(request, reply, files)) {
      return reply;
    }
    const pathname = request.url.split('?')[0]!;
    const allowed = allowedAt(routes, pathname);
    if (allowed !== undefined) {
      reply.header('allow', allowed);
      const detail = `${pathname} does not take ${request.method}: use ${allowed}`;
      return sendProblem(reply, request, problem('METHOD_NOT_ALLOWED', detail));
    }
    const detail = `there is nothing at ${request.method} ${pathname}: see /api/v1/openapi.json`;
    return sendProblem(reply, request, problem('NOT_FOUND', detail));
  });
  // A stream would keep its connection open, and so the server.
  app.addHook('preClose', async () => endStreams(services));
  const openapi = route({
    method: 'get',
    path: '/api/v1/openapi.json',
    tag: 'api',
    needs: 'signIn',
    summary: 'Read this OpenAPI document',
    responses: [{ status: 200, description: 'OpenAPI 3.1.', mediaType: 'application/json' }],
    handle: () => ({ headers: { 'content-type': 'application/json' }, body: openapiBytes() }),
  });
  routes.push(openapi);
  for (const spec of routes) {
    serve(app, spec, services, (request, error) => noteRefused(request, services, error));
  }
  return app;
}

/** Ends all streams of server-sent events and packets. Their readers connect again. */
export function endStreams({ streams }: Pick<Services, 'streams'>): void {
  for (const stream of streams.keys()) {
    stream.end();
  }
}

/** Options of the server of Node.js. */
function serverOptions(certificate: ApiCertificate | undefined) {
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 2000 };
  if (!certificate) {
    return { http: limits };
  }
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS;
  return { https: { ...limits, ...secureOptions(certificate.current), handshakeTimeout } };
}

function parseJson(
  _request: FastifyRequest,
  text: string | Buffer,
  done: (error: Error | null, body?: unknown) => void,
): void {
  if (text.length === 0) {
    done(null, undefined);
    return;
  }
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch (error) {
    done(new ProblemError('BAD_REQUEST', `the body is not JSON: ${(error as Error).message}`));
    return;
  }
  const shape = shapeProblem(value);
  done(shape === undefined ? null : new ProblemError('BAD_REQUEST', `the body cannot be read: ${shape}`), value);
}

function problemOf(error: FastifyError, { log }: Services): Problem {
  if (error instanceof ProblemError) {
    return error.problem;
  }
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return problem('BODY_TOO_LARGE', `the body is larger than ${BODY_LIMIT} bytes: divide it`);
  }
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    const detail = 'the body is of a type that is not read: send JSON with Content-Type: application/json';
    return problem('MEDIA_TYPE_UNSUPPORTED', detail);
  }
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return problem('BAD_REQUEST', `the request cannot be read: ${error.message}`);
  }
  log.error({ err: error }, 'request failed');
  if (error instanceof StoreUnavailableError) {
    const detail = 'the store does not answer, and whether the change was made is not known: read it, and try again';
    return problem('UNAVAILABLE', detail);
  }
  if (error instanceof StoreDiskError) {
    return problem('UNAVAILABLE', error.message);
  }
  const full = diskWords(error);
  if (full !== undefined) {
    return problem('UNAVAILABLE', full);
  }
  return problem('INTERNAL', 'the controller failed: see its log');
}

/** What to say where a file cannot be written. Undefined: the error is another one. */
function diskWords({ code, message }: Error & { code?: string }): string | undefined {
  return /^(ENOSPC|EDQUOT|EROFS|EIO)$/.test(code ?? '')
    ? `the disk of the controller is full or broken (${message}), and whether all of the change was made is not known: make room or mend it, read what you have changed, and try again`
    : undefined;
}

function sendProblem(reply: FastifyReply, request: FastifyRequest, document: Problem): FastifyReply {
  if (document.status === 401) {
    reply.header('www-authenticate', 'Bearer realm="mirrorplane"');
  }
  const seconds = RETRY_AFTER_S[document.code];
  if (seconds !== undefined) {
    reply.header('retry-after', String(seconds));
  }
  const body: Problem = { ...bounded(document), instance: request.url.split('?')[0]! };
  return reply.code(document.status).type('application/problem+json').send(jsonText(body));
}
