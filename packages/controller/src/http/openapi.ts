/** openapi.json, made of the routes: `node packages/controller/src/http/openapi.ts --write docs/reference/openapi.json`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Problem } from '@mirrorplane/contract';
import * as z from 'zod';
import type { ResponseSpec, Route } from './route.ts';
import { ROUTES } from './routes.ts';

type Schema = Record<string, unknown>;

const IF_MATCH = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'Entity tag of the resource as it was read; 412 where it was changed in the meantime.',
  schema: { type: 'string' },
};
const IF_NONE_MATCH = {
  name: 'If-None-Match',
  in: 'header',
  required: false,
  description: '`*`: create only; 412 where it exists.',
  schema: { type: 'string' },
};

/** The whole document. The same routes give the same text. */
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
      description:
        'Traffic mirroring for clusters of Linux hosts. Problems are RFC 9457 documents that list every refusal.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'DATA/admin-token.' } },
      schemas: components.sorted(),
    },
  };
}

/** Schemas that have an id, each once. Input and output of a schema with defaults differ: what may be left out. */
class Components {
  readonly #schemas = new Map<string, Schema>();

  /** The schema as JSON Schema, its named parts as references. */
  use(schema: z.ZodType, io: 'input' | 'output'): Schema {
    const {
      $schema: _,
      $defs = {},
      ...root
    } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Schema & {
      $defs?: Record<string, Schema>;
    };
    for (const [name, definition] of Object.entries($defs)) {
      this.#add(name, relocate(definition) as Schema);
    }
    const { id, ...rest } = relocate(root) as Schema;
    if (typeof id !== 'string') {
      return rest;
    }
    this.#add(id, rest);
    return { $ref: `#/components/schemas/${id}` };
  }

  sorted(): Schema {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(name: string, { id: _, ...schema }: Schema): void {
    this.#schemas.set(name, this.#schemas.get(name) ?? schema);
  }
}

/** References point to the components of the document. */
function relocate(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(relocate);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      key === '$ref' && typeof field === 'string'
        ? field.replace('#/$defs/', '#/components/schemas/')
        : relocate(field),
    ]),
  );
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
    ...(route.auth === false && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content: { 'application/json': body, ...(route.bodyType && { [route.bodyType]: body }) },
      },
    }),
    responses: responsesOf(withDryRun(route), components),
  };
}

/** As in `getPolicies`, `putPoliciesByName`. */
function operationId({ method, path: where }: Route): string {
  const words = where.replace('/api/v1', '').split('/').filter(Boolean);
  const named = words.map((word) => {
    const plain = word.replace(/[{}]/g, '');
    return (word.startsWith('{') ? 'By' : '') + plain[0]!.toUpperCase() + plain.slice(1);
  });
  return method + named.join('');
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query', components: Components): Schema[] {
  return Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const { description, ...rest } = components.use(field as z.ZodType, 'input');
    const required = place === 'path' || !(field as z.ZodType).safeParse(undefined).success;
    return { name, in: place, required, ...(description !== undefined && { description }), schema: rest };
  });
}

/** A dry run is answered with 200, whatever the change itself is. */
function withDryRun({ query, responses }: Route): readonly ResponseSpec[] {
  if (!query?.shape.dryRun || responses.some(({ status }) => status === 200)) {
    return responses;
  }
  const [first] = responses;
  const dryRun = { status: 200, description: 'Of a dry run: what would be.', mediaType: 'application/json' };
  return [first?.schema ? { ...dryRun, schema: first.schema } : dryRun, ...responses];
}

function responsesOf(responses: readonly ResponseSpec[], components: Components): Schema {
  const entries = responses.map(({ status, description, schema, mediaType }) => {
    const type = mediaType ?? 'application/json';
    const content = schema ? { schema: components.use(schema, 'output') } : mediaType && {};
    return [String(status), { description, ...(content && { content: { [type]: content } }) }];
  });
  const problem = { schema: components.use(Problem, 'output') };
  return {
    ...Object.fromEntries(entries),
    default: { description: 'A problem, with every refusal.', content: { 'application/problem+json': problem } },
  };
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
