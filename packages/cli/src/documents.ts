/** Reads the documents of `apply`: YAML or JSON, one or several. */
import { CliError } from './exit.ts';
import { readInput } from './input.ts';
import { KINDS, type Kind, RESOURCES } from './resources.ts';
import { parseVlanList, VlanListError } from './vlans.ts';
import { valuesOf } from './yaml-values.ts';

/**
 * One resource of a file. `spec` is sent as it is. Unknown fields stay in it, and the controller
 * refuses them.
 */
export interface Document {
  kind: Kind;
  name: string;
  spec: Record<string, unknown>;
  /** The place of the document, for messages: `policies.yaml, document 2`. */
  where: string;
  /** Set for an interface that `show` printed as observed and not declared. */
  observed?: true;
}

/**
 * Fields that the controller adds. They are removed, so that the output of `show` can be applied
 * again.
 */
export const ADDED: Record<Kind, readonly string[]> = {
  Domain: ['revision'],
  Pool: ['revision'],
  Node: [
    'revision',
    'connected',
    'underlay',
    'agentVersion',
    'kernel',
    'hook',
    'lastSeenAt',
    'certificateEndsAt',
    'programRevision',
    'appliedRevision',
    'problems',
    'devices',
    'budgets',
    'ending',
  ],
  Interface: ['revision', 'declared', 'devices', 'home', 'contested'],
  Policy: ['uid', 'type', 'revision', 'createdAt', 'createdBy', 'updatedAt', 'warnings', 'approval', 'change'],
};

/**
 * Kinds of interfaces. A document with such a `kind` is an interface, as `interface show` prints
 * it.
 */
const INTERFACE_KINDS = ['vm', 'nfv', 'edge'];

/**
 * Reads a file, or stdin for `-`.
 * @throws CliError (usage) which names the document that is wrong.
 */
export async function readDocuments(file: string, assumed?: Kind): Promise<Document[]> {
  return parseDocuments(await readInput(file), file === '-' ? 'stdin' : file, assumed);
}

/**
 * Reads the documents of a text, which is YAML or JSON. Documents that others depend on come first.
 */
export function parseDocuments(text: string, origin: string, assumed?: Kind): Document[] {
  const values: { value: unknown; where: string }[] = [];
  let lists = 0;
  for (const { value, where } of valuesOf(text, origin)) {
    // An empty document is ignored, for example after a trailing "---".
    if (value === null || value === undefined) {
      continue;
    }
    const list = Array.isArray(value) ? value : isObject(value) && Array.isArray(value.items) ? value.items : undefined;
    if (list) {
      lists += 1;
      for (const [index, entry] of list.entries()) {
        values.push({ value: entry, where: `${where}, entry ${index + 1}` });
      }
    } else {
      values.push({ value, where });
    }
  }
  // An empty list is valid: `list` prints one.
  if (values.length === 0 && lists === 0) {
    throw new CliError('usage', `${origin} holds no document`);
  }
  const documents = values.map(({ value, where }) => toDocument(value, where, assumed));
  const seen = new Map<string, string>();
  for (const { kind, name, where } of documents) {
    const before = seen.get(`${kind} ${name}`);
    if (before !== undefined) {
      throw new CliError('usage', `${where}: ${kind} ${name} is already in ${before}`);
    }
    seen.set(`${kind} ${name}`, where);
  }
  return documents.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

function toDocument(value: unknown, where: string, assumed: Kind | undefined): Document {
  if (!isObject(value)) {
    throw new CliError('usage', `${where}: this is not a mapping of fields`);
  }
  const { kind: said, interfaceKind, ...rest } = value;
  const spec: Record<string, unknown> = rest;
  let kind: Kind;
  if (said === undefined && assumed !== undefined) {
    kind = assumed;
  } else if (typeof said === 'string' && INTERFACE_KINDS.includes(said)) {
    kind = 'Interface';
    spec.kind = said;
  } else if (typeof said === 'string' && (KINDS as readonly string[]).includes(said)) {
    kind = said as Kind;
  } else {
    const problem = said === undefined ? 'it has no "kind"' : `its kind ${JSON.stringify(said)} is not known`;
    throw new CliError('usage', `${where}: ${problem}; use ${KINDS.join(', ')}`);
  }
  if (interfaceKind !== undefined) {
    spec.interfaceKind = interfaceKind;
  }
  if (kind === 'Interface') {
    completeInterface(spec, where);
  }
  const key = RESOURCES[kind].key;
  const name = spec[key];
  if (typeof name !== 'string' || name === '') {
    throw new CliError('usage', `${where}: the ${kind} has no "${key}"`);
  }
  const observed = kind === 'Interface' && spec.declared === false;
  for (const field of ADDED[kind]) {
    delete spec[field];
  }
  // The URL names the resource. Only a policy also has its name as a field.
  if (kind !== 'Policy') {
    delete spec[key];
  }
  return { kind, name, spec, where, ...(observed && { observed }) };
}

/**
 * With `kind: Interface`, the kind of the interface is in `interfaceKind`, or follows from `edge`.
 */
function completeInterface(spec: Record<string, unknown>, where: string): void {
  if (spec.kind === undefined) {
    const kind = spec.interfaceKind ?? (spec.edge === undefined ? undefined : 'edge');
    if (kind === undefined) {
      throw new CliError('usage', `${where}: an Interface needs "interfaceKind": ${INTERFACE_KINDS.join(', ')}`);
    }
    spec.kind = kind;
    delete spec.interfaceKind;
  }
  // The pool of an edge is the pool of its node. `show` prints it, but it cannot be declared.
  if (spec.kind === 'edge') {
    delete spec.pool;
  }
  if (isObject(spec.edge) && spec.edge.allowedVlans !== undefined) {
    spec.edge = { ...spec.edge, allowedVlans: readVlans(spec.edge.allowedVlans, where) };
  }
}

/**
 * Reads a list of numbers and ranges, or a text such as `100,200-210`. The controller refuses any
 * other value.
 */
function readVlans(value: unknown, where: string): unknown {
  const parts = Array.isArray(value) ? value : [value];
  if (!parts.some((part) => typeof part === 'string')) {
    return value;
  }
  try {
    return [...new Set(parts.flatMap((part) => (typeof part === 'string' ? parseVlanList(part) : [part])))];
  } catch (error) {
    if (error instanceof VlanListError) {
      throw new CliError('usage', `${where}: edge.allowedVlans: ${error.message}`);
    }
    throw error;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
