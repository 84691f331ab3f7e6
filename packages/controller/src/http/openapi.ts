/**
 * openapi.json, made of the routes: `node packages/controller/src/http/openapi.ts --write
 * docs/reference/openapi.json`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type * as z from 'zod';
import { Components, type Schema } from './openapi-components.ts';
import { problemComponents, problemExamples, problemResponses } from './openapi-problems.ts';
import { NOTHING, type ResponseSpec, type Route } from './route.ts';
import { ROUTES } from './routes.ts';
import { COOKIE } from './who.ts';

/** Meaning of the tags, in display order. */
const TAGS: Record<string, string> = {
  policies: 'Mirror policies: which traffic is copied, and which interface receives it.',
  interfaces:
    'Interfaces: NICs that can be mirrored or can receive copies. Operators declare them, agents observe them.',
  nodes: 'Hosts that run the agent.',
  pools: 'Resource pools: clusters of nodes.',
  domains: 'Communication domains: pools of one domain can reach each other.',
  events: 'Events, in the order in which they happened.',
  looks: 'Looks: a bounded view of packets on their way, with what became of them and of their copies.',
  findings: 'Findings: where packets between two interfaces are lost, in one sentence.',
  audit: 'Audit log: who asked for which change, and the result.',
  users: 'Users: people with an account, how they sign in, and their API tokens.',
  access: 'Access: roles, their rights, and who may do what.',
  session: 'Signing in from a browser: a session is a cookie, and its changes need a header.',
  health: 'Checks for a supervisor of the controller.',
};

const DESCRIPTION = `Traffic mirroring for clusters of Linux hosts.

Problems are RFC 9457 documents that list every refusal. Unknown query parameters and unknown fields are refused.
A method that a path does not support is answered with 405 and the header Allow. New fields may be added to answers: ignore
fields that you do not know.`;

const SERVER = {
  url: '{scheme}://{address}',
  description: 'The controller, or a proxy in front of it.',
  variables: {
    scheme: { default: 'http', enum: ['http', 'https'], description: 'https where others can reach the address.' },
    address: { default: '127.0.0.1:7070', description: 'Address as given with --listen.' },
  },
};

const IF_MATCH = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'Entity tag of the resource as it was read. 412: the resource has changed in the meantime.',
  schema: { type: 'string' },
};
const IF_NONE_MATCH = {
  name: 'If-None-Match',
  in: 'header',
  required: false,
  description: '`*`: create only. 412: the resource exists.',
  schema: { type: 'string' },
};

const ETag = {
  description: 'Value for the If-Match header of a change.',
  schema: { type: 'string', examples: ['"17"'] },
};

let bytes: Buffer | undefined;

/**
 * The document as it is sent. It is made when it is asked for, once: that takes half a second, which
 * a controller that takes the place of another one does not have.
 */
export function openapiBytes(): Buffer {
  bytes ??= Buffer.from(JSON.stringify(openapiDocument()));
  return bytes;
}

/** The whole document. Equal routes give equal text. */
export function openapiDocument(): Schema {
  const components = new Components();
  const paths: Record<string, Schema> = {};
  for (const route of ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route, components) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Mirrorplane',
      version: 'v1',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [SERVER],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ token: [] }, { session: [] }],
    paths,
    components: {
      examples: problemExamples(ROUTES),
      responses: problemComponents(ROUTES, components),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'The token in the file DATA/admin-token (role admin) or DATA/read-token (role viewer).',
        },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: COOKIE,
          description:
            'The cookie of POST /api/v1/session. A change also needs csrfToken of GET /api/v1/session in the header X-Mirrorplane-CSRF.',
        },
      },
      schemas: components.sorted(),
    },
  };
}

function operation(route: Route, components: Components): Schema {
  const parameters = [
    ...parametersOf(route.params, 'path', components),
    ...parametersOf(route.query, 'query', components),
    ...(route.conditional ? [IF_MATCH] : []),
    ...(route.conditional && route.method === 'put' ? [IF_NONE_MATCH] : []),
  ];
  const body = route.body && { schema: components.use(route.body, 'input') };
  return {
    tags: [route.tag],
    summary: route.summary,
    operationId: operationId(route),
    ...(route.needs === 'nothing' && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content: { 'application/json': body, ...(route.bodyType && { [route.bodyType]: body }) },
      },
    }),
    responses: responsesOf(route, components),
  };
}

/** The operation id, for example `getPolicies` or `putPoliciesByName`. */
function operationId({ method, path: where }: Route): string {
  const words = where.replace('/api/v1', '').split('/').filter(Boolean);
  const named = words.map((word) => {
    const plain = word.replace(/[{}]/g, '');
    return (word.startsWith('{') ? 'By' : '') + plain[0]!.toUpperCase() + plain.slice(1);
  });
  return method + named.join('');
}

/**
 * A parameter with several values, separated by commas, has the schema of one value as `list` in
 * its metadata.
 */
function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query', components: Components): Schema[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const { description, list: _, ...rest } = components.use(field as z.ZodType, 'input');
    const required = place === 'path' || !(field as z.ZodType).safeParse(undefined).success;
    const { list } = (field as z.ZodType).meta() ?? {};
    const shape = list
      ? { style: 'form', explode: false, schema: { type: 'array', items: components.use(list as z.ZodType, 'input') } }
      : { schema: rest };
    return { name, in: place, required, ...(description !== undefined && { description }), ...shape };
  });
}

/** Adds 200 for the dry run, independent of the status of the change. */
function withDryRun({ query, responses }: Route): readonly ResponseSpec[] {
  if (!query?.shape.dryRun || responses.some(({ status }) => status === 200)) {
    return responses;
  }
  const [first] = responses;
  return [
    { status: 200, description: 'Dry run: the result that the change would have.', schema: first?.schema ?? NOTHING },
    ...responses,
  ];
}

function responsesOf(route: Route, components: Components): Schema {
  const entries = withDryRun(route).map(({ status, description, schema, mediaType }) => {
    const type = mediaType ?? 'application/json';
    const content = schema ? { schema: components.use(schema, 'output') } : mediaType && {};
    const headers = content && hasEtag(route) && { headers: { ETag } };
    return [String(status), { description, ...headers, ...(content && { content: { [type]: content } }) }];
  });
  return { ...Object.fromEntries(entries), ...problemResponses(route) };
}

/** Whether answers have an entity tag: they do if the resource can be changed under a condition. */
function hasEtag({ path: where }: Route): boolean {
  return ROUTES.some((route) => route.path === where && route.conditional);
}

/** The document as it is committed. */
export function openapiText(): string {
  return `${JSON.stringify(openapiDocument(), null, 2)}\n`;
}

if (import.meta.main) {
  const [option, file] = process.argv.slice(2);
  if (option !== '--write' || file === undefined) {
    process.stderr.write('usage: openapi.ts --write FILE\n');
    process.exitCode = 2;
  } else {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, openapiText());
  }
}
