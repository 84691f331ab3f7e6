/** A route, declared once: what fastify serves, what a request is checked against, and what openapi.json says of it. */
import type { ErrorCode } from '@mirrorplane/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Rights } from '../auth/api-tokens.ts';
import { parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { type Who, whoOf } from './who.ts';

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
  /** Who asks. A route without `auth` is not told. */
  who: Who;
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
  /** False: served to anybody. Default true. */
  auth?: boolean;
  /** The rights that a request needs. Default: `read` for GET, else `admin`. */
  needs?: Rights;
  /** Largest body in bytes. Default: that of all routes. */
  bodyLimit?: number;
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
    ...(spec.bodyLimit !== undefined && { bodyLimit: spec.bodyLimit }),
    // Before the body is read: who may not write here is not listened to.
    onRequest: async (request) => {
      if (spec.auth !== false) {
        request.who = whoOf(request, services, neededFor(spec));
      }
    },
    handler: async (request, reply) => {
      const answer = await spec.handle({
        params: spec.params && parseOrRefuse(spec.params, request.params, 'path'),
        query: parseOrRefuse(spec.query ?? NOTHING, request.query, 'query'),
        body: spec.body && parseOrRefuse(spec.body, request.body, 'body'),
        request,
        services,
        who: request.who,
      } as unknown as Call<never, never, never>);
      return send(reply, spec, answer);
    },
  });
}

/** The rights that a request to a route needs. */
export function neededFor({ method, needs = method === 'get' ? 'read' : 'admin' }: Route): Rights {
  return needs;
}

function send(reply: FastifyReply, spec: Route, answer: Answer): FastifyReply {
  const status = answer.status ?? spec.responses[0]!.status;
  reply.code(status).headers(answer.headers ?? {});
  return status === 204 ? reply.send() : reply.send(answer.body);
}
