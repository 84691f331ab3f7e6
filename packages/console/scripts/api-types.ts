/**
 * Writes src/api/schema.d.ts: the types of the API, of docs/reference/openapi.json. Only where they
 * have changed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';

const DOCUMENT = join(import.meta.dirname, '../../../docs/reference/openapi.json');
const TYPES = join(import.meta.dirname, '../src/api/schema.d.ts');
const HEAD = '/** Made of docs/reference/openapi.json by scripts/api-types.ts: do not edit. */\n';

const document = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as OpenAPI3;
// What has a default may be left out of a request.
const text = HEAD + astToString(await openapiTS(document, { defaultNonNullable: false }));
if (!existsSync(TYPES) || readFileSync(TYPES, 'utf8') !== text) {
  writeFileSync(TYPES, text);
}
