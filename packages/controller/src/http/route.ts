/** A route, declared once: for fastify, for the check of requests, and for openapi.json. */
import type { ErrorCode } from '@mirrorplane/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Judge, Thing } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { isAudited } from '../audit/audited.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { judgeOf, require } from './judges.ts';
import { type Needs, type Who, whoOf } from './who.ts';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type Out<S> = S extends z.ZodType ? z.output<S> : undefined;

/** The answer of a handler. */
export interface Answer {
  /** Default: the first success status of the route. */
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** The input of a handler: the parts of the request, parsed by the schemas of the route. */
export interface Call<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  request: FastifyRequest;
  services: Services;
  /** The sender of the request. Undefined for a route that needs nothing. */
  who: Who;
  /** What the sender may do. */
  judge: Judge;
}

/**
 * Success responses: status, what they mean, and the body's schema (JSON) or media type (anything
 * else).
 */
export interface ResponseSpec {
  status: number;
  description: string;
  schema?: z.ZodType;
  mediaType?: string;
}

export interface Route {
  method: Method;
  /** In the form of OpenAPI: `/api/v1/policies/{name}`. */
  path: string;
  summary: string;
  tag: string;
  /** What the sender must have. */
  needs: Needs;
  /**
   * What the right is needed for: the thing that the path names, `cluster` for what no scope can
   * divide, or `handler` where the handler judges each thing by itself. Left out: without a right.
   */
  about?: Thing | 'cluster' | 'handler';
  /** The largest body, bytes. Default: the limit of all routes. */
  bodyLimit?: number;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Media type of the body in addition to application/json. */
  bodyType?: string;
  /** Whether If-Match is checked. */
  conditional?: boolean;
  /** Codes of problems in addition to those that follow from the route's other fields. */
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

/**
 * Serves a route.
 * @param refused called once with a request that is refused because of who sends it, unless the
 * refusal has its entry in the audit log already
 */
export function serve(
  app: FastifyInstance,
  spec: Route,
  services: Services,
  refused: (request: FastifyRequest, error: unknown) => void,
): void {
  app.route({
    method: spec.method.toUpperCase(),
    url: spec.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(spec.bodyLimit !== undefined && { bodyLimit: spec.bodyLimit }),
    // Before the body is read, so that a sender without the right cannot send one.
    onRequest: async (request) => {
      if (spec.needs !== 'nothing') {
        try {
          request.who = whoOf(request, services, spec.needs);
        } catch (error) {
          refused(request, error);
          throw error;
        }
      }
    },
    handler: async (request, reply) => {
      try {
        return send(reply, spec, await answerOf(spec, request, services));
      } catch (error) {
        // Without authentication a sign-in is tried, which notes what it refuses.
        if (spec.needs !== 'nothing' && isOfSender(error) && !isAudited(error)) {
          refused(request, error);
        }
        throw error;
      }
    },
  });
}

/** Whether a request is refused because of who sends it. */
function isOfSender(error: unknown): boolean {
  return error instanceof ProblemError && [401, 403].includes(error.problem.status);
}

async function answerOf(spec: Route, request: FastifyRequest, services: Services): Promise<Answer> {
  const judge = judgeOf(request.who?.grants ?? [], services);
  const params = spec.params && parseOrRefuse(spec.params, request.params, 'path');
  requireScope(spec, judge, params as Named | undefined);
  return spec.handle({
    params,
    query: parseOrRefuse(spec.query ?? NOTHING, request.query, 'query'),
    body: spec.body && parseOrRefuse(spec.body, request.body, 'body'),
    request,
    services,
    who: request.who,
    judge,
  } as unknown as Call<never, never, never>);
}

/** The parameter of a path that names a thing. */
interface Named {
  name?: string;
  id?: string;
}

/**
 * A PUT may make something new: its handler judges what it would make.
 * @throws ProblemError FORBIDDEN
 */
function requireScope({ needs, about, method }: Route, judge: Judge, params: Named | undefined): void {
  if (needs === 'nothing' || needs === 'signIn' || about === undefined || about === 'handler') {
    return;
  }
  if (about === 'cluster') {
    if (!judge.everywhere(needs)) {
      throw forbidden(needs, 'the whole cluster');
    }
    return;
  }
  const name = params?.name ?? params?.id ?? '';
  if (method !== 'put' || judge.exists(about, name)) {
    require(judge, needs, about, name);
  }
}

function send(reply: FastifyReply, spec: Route, answer: Answer): FastifyReply {
  const status = answer.status ?? spec.responses[0]!.status;
  reply.code(status).headers(answer.headers ?? {});
  return status === 204 ? reply.send() : reply.send(answer.body);
}
