/** The operations of docs/reference/openapi.json: what the fuzzer makes requests of. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { ROOT } from '../../packaging/paths.ts';

/** A JSON schema, as far as the document uses it. */
export interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minItems?: number;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  format?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
}

export interface Operation {
  method: string;
  /** With variables: `/api/v1/policies/{name}`. */
  path: string;
  parameters: readonly Parameter[];
  /** Schema of the body, and its media types. */
  body?: { schema: Schema; types: readonly string[] };
  /** The check of the body of an answer, by status. Undefined: the answer is not JSON. */
  answers: ReadonlyMap<number, z.ZodType | undefined>;
}

interface Content {
  content?: Record<string, { schema?: Schema }>;
}

interface Document {
  paths: Record<
    string,
    Record<string, { parameters?: Parameter[]; requestBody?: Content; responses: Record<string, Content> }>
  >;
  components: { schemas: Record<string, Schema> };
}

/** All that is known of the API. */
export interface Api {
  operations: readonly Operation[];
  /** The schema that a `$ref` names, or the schema itself. */
  resolve(schema: Schema): Schema;
  /** The check of a problem document. */
  problem: z.ZodType;
}

/** Reads the document. */
export function readApi(): Api {
  const text = readFileSync(join(ROOT, 'docs/reference/openapi.json'), 'utf8');
  // The reader of JSON schemas knows references into `$defs` only.
  const document = JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')) as Document;
  const $defs = document.components.schemas;
  const check = (schema: Schema) => z.fromJSONSchema({ ...schema, $defs } as Parameters<typeof z.fromJSONSchema>[0]);
  const resolve = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : resolve($defs[schema.$ref.replace('#/$defs/', '')]!);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]): Operation => {
      const [content] = Object.values(requestBody?.content ?? {});
      return {
        method: method.toUpperCase(),
        path,
        parameters,
        ...(content?.schema && { body: { schema: content.schema, types: Object.keys(requestBody!.content!) } }),
        answers: new Map(
          Object.entries(responses)
            .filter(([status]) => status.startsWith('2'))
            .map(([status, answer]) => {
              const schema = answer.content?.['application/json']?.schema;
              return [Number(status), schema && check(schema)];
            }),
        ),
      };
    }),
  );
  return { operations, resolve, problem: check({ $ref: '#/$defs/Problem' }) };
}
