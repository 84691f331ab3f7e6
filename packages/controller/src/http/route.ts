/** A route, declared once: what fastify serves, what a request is checked against, and what openapi.json says of it. */
import type { ErrorCode } from '@mirrorplane/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { bearerToken } from '../auth/api-tokens.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type Out<S> = S extends z.ZodType ? z.output<S> : undefined;

/** What a handler answers. */
export interface Answer {
  /** Default: the first success status of the route. */
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** What a handler is given: the parts of the request, parsed by the schemas of the route. */
export interface Call<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  request: FastifyRequest;
  services: Services;
}

/** Success responses: status, what they mean, and the body's schema (JSON) or media type (anything else). */
export interface ResponseSpec {
  status: number;
  description: string;
  schema?: z.ZodType;
  mediaType?: string;
}

export interface Route {
  method: Method;
  /** As in OpenAPI: `/api/v1/policies/{name}`. */
  path: string;
  summary: string;
  tag: string;
  /** False: served without a token. Default true. */
  auth?: boolean;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Media type of the body beside application/json. */
  bodyType?: string;
  /** Whether If-Match is looked at. */
  conditional?: boolean;
  /** Codes of problems beside those that follow from the rest of the route. */
  refuses?: readonly ErrorCode[];
  responses: readonly ResponseSpec[];
  handle(call: Call<never, never, never>): Answer | Promise<Answer>;
}

interface TypedRoute<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> extends Omit<Route, 'handle'> {
  params?: P;
  query?: Q;
  body?: B;
  handle(call: Call<Out<P>, Out<Q>, Out<B>>): Answer | Promise<Answer>;
}

/** A query without parameters, and a body without fields. */
export const NOTHING = z.strictObject({});

/** Declares a route with its handler typed by its schemas. */
export function route<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  spec: TypedRoute<P, Q, B>,
): Route {
  return spec as unknown as Route;
}

/** Serves a route. */
export function serve(app: FastifyInstance, spec: Route, services: Services): void {
  app.route({
    method: spec.method.toUpperCase(),
    url: spec.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    // Before the body is read: who may not write here is not listened to.
    onRequest: async (request) => {
      if (spec.auth !== false) {
        authenticate(request, services);
      }
    },
    handler: async (request, reply) => {
      const answer = await spec.handle({
        params: spec.params && parseOrRefuse(spec.params, request.params, 'path'),
        query: parseOrRefuse(spec.query ?? NOTHING, request.query, 'query'),
        body: spec.body && parseOrRefuse(spec.body, request.body, 'body'),
        request,
        services,
      } as unknown as Call<never, never, never>);
      return send(reply, spec, answer);
    },
  });
}

function authenticate(request: FastifyRequest, services: Services): void {
  const token = bearerToken(request.headers.authorization);
  const rights = token === undefined ? undefined : services.rightsOf(token);
  if (rights === undefined) {
    const detail = token === undefined ? 'the request has no bearer token' : 'the bearer token is not valid';
    throw new ProblemError(
      'UNAUTHENTICATED',
      `${detail}: send the content of the file admin-token in the data directory`,
    );
  }
  // Also a dry run: it tells what a change would do, and takes the time of one.
  if (rights === 'read' && !['GET', 'HEAD'].includes(request.method)) {
    throw new ProblemError('FORBIDDEN', 'the read token allows GET only: send the admin token for changes');
  }
}

function send(reply: FastifyReply, spec: Route, answer: Answer): FastifyReply {
  const status = answer.status ?? spec.responses[0]!.status;
  reply.code(status).headers(answer.headers ?? {});
  return status === 204 ? reply.send() : reply.send(answer.body);
}
