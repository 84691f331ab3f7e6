/** Reads YAML or JSON that may come from anywhere: in a time that grows with its length only. */
import { type Document, isScalar, parseAllDocuments, visit } from 'yaml';
import { CliError } from './exit.ts';

/** Lines of a text. The parser spends some microseconds on each, also where it is empty. */
const MAX_LINES = 1_000_000;
/** Levels of a document, as the controller takes them. */
const MAX_DEPTH = 12;
const TOO_DEEP = `it has more than ${MAX_DEPTH} levels: no field of a resource is as deep`;

/** The value of a document, and its place, for messages: `policies.yaml, document 2`. */
export interface PlacedValue {
  value: unknown;
  where: string;
}

/**
 * The values of all documents of a text.
 * @param origin names the text
 * @throws CliError (usage) that names the first document that is wrong
 */
export function* valuesOf(text: string, origin: string): Generator<PlacedValue> {
  if (hasMoreLines(text, MAX_LINES)) {
    throw new CliError('usage', `${origin} has more than ${MAX_LINES} lines: divide it into several files`);
  }
  // The parser compares each key with all others of its mapping. Tags of other versions of YAML do
  // so too.
  const parsed = parseAllDocuments(text, { uniqueKeys: false, resolveKnownTags: false, logLevel: 'error' });
  for (const [at, document] of (Array.isArray(parsed) ? parsed : []).entries()) {
    const where = `${origin}, document ${at + 1}`;
    yield { value: valueOfDocument(document, where), where };
  }
}

function hasMoreLines(text: string, most: number): boolean {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0 && count <= most; at = text.indexOf('\n', at + 1)) {
    count++;
  }
  return count > most;
}

function valueOfDocument(document: Document.Parsed, where: string): unknown {
  const refuse = (why: string): never => {
    throw new CliError('usage', `${where}: ${why}`);
  };
  const [error] = document.errors;
  if (error) {
    // The parser calls itself for each level.
    refuse(error.message.startsWith('Maximum call stack') ? TOO_DEEP : error.message);
  }
  const problem = keyProblem(document);
  if (problem !== undefined) {
    refuse(problem);
  }
  let value: unknown;
  try {
    value = document.toJS();
  } catch (cause) {
    // Aliases may stand for each other without end.
    refuse((cause as Error).message);
  }
  if (isDeeper(value, MAX_DEPTH)) {
    refuse(TOO_DEEP);
  }
  return value;
}

/** What is wrong with the first key that a mapping has twice, or that is a list or a mapping. */
function keyProblem(document: Document.Parsed): string | undefined {
  let problem: string | undefined;
  visit(document, {
    Map: (_key, { items }) => {
      const keys = new Set<string>();
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : undefined;
        if (name === undefined || keys.has(name)) {
          problem = name === undefined ? 'a key is no text: quote it' : `"${name}" is given twice: remove one of them`;
          return visit.BREAK;
        }
        keys.add(name);
      }
      return undefined;
    },
  });
  return problem;
}

/** Whether a value has more levels. One that contains itself has. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) {
    return false;
  }
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
