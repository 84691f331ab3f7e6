/**
 * Documents of `apply`: reading, order, and which document removes the reason of another one's
 * refusal.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Domain, type ErrorCode, Interface, Node, Policy, Pool, type Problem } from '@mirrorplane/contract';
import { repeatedSources, settledBy } from '../src/apply-needs.ts';
import { ADDED, type Document, parseDocuments } from '../src/documents.ts';
import { CliError } from '../src/exit.ts';
import { KINDS, RESOURCES } from '../src/resources.ts';

const refusedWith = (message: RegExp) => (error: unknown) =>
  error instanceof CliError && error.exit === 'usage' && message.test(error.message);

describe('documents', () => {
  it('are ordered: domains, pools, nodes, interfaces, policies', () => {
    const text = `
kind: Policy
name: p
sources: [a]
destination: b
---
kind: edge
id: up
edge: { node: n, device: eth1, allowedVlans: [100, 200-202] }
---
kind: Node
name: n
pool: one
---
kind: Pool
name: one
domain: d
---
kind: Domain
name: d
---
`;
    const documents = parseDocuments(text, 'f');
    assert.deepEqual(
      documents.map(({ kind, name }) => `${kind} ${name}`),
      ['Domain d', 'Pool one', 'Node n', 'Interface up', 'Policy p'],
    );
    assert.deepEqual(documents[3]!.spec, {
      kind: 'edge',
      edge: { node: 'n', device: 'eth1', allowedVlans: [100, 200, 201, 202] },
    });
    assert.deepEqual(documents[4]!.spec, { name: 'p', sources: ['a'], destination: 'b' });
  });

  it('may be JSON: one, a list, or what "list -o json" prints', () => {
    const policy = { kind: 'Policy', name: 'p', sources: ['a'], destination: 'b' };
    for (const value of [policy, [policy], { items: [policy], revision: 7 }]) {
      const [document, ...rest] = parseDocuments(JSON.stringify(value), 'f');
      assert.deepEqual([document!.kind, document!.name, rest.length], ['Policy', 'p', 0]);
    }
  });

  it('without a kind are of the kind that the command implies, and fields of the controller are left out', () => {
    const shown = {
      name: 'p',
      uid: 'u',
      type: 'virtual',
      sources: ['a'],
      destination: 'b',
      revision: 4,
      createdAt: 't',
      updatedAt: 't',
      warnings: [],
    };
    const [document] = parseDocuments(JSON.stringify(shown), 'f', 'Policy');
    assert.deepEqual(document!.spec, { name: 'p', sources: ['a'], destination: 'b' });
  });

  it('of an Interface say its own kind as interfaceKind, unless an edge block tells', () => {
    const [vm] = parseDocuments('{kind: Interface, interfaceKind: vm, id: a, pool: one}', 'f');
    assert.deepEqual(vm!.spec, { kind: 'vm', pool: 'one' });
    const [edge] = parseDocuments('{kind: Interface, id: a, edge: {node: n, device: e, allowedVlans: "5,7-8"}}', 'f');
    assert.deepEqual(edge!.spec, { kind: 'edge', edge: { node: 'n', device: 'e', allowedVlans: [5, 7, 8] } });
  });

  it('have no field of the API that is neither written by operators nor left out', () => {
    const schemas = { Domain, Pool, Node, Interface, Policy };
    for (const kind of KINDS) {
      const { key, fields } = RESOURCES[kind];
      const known = [...new Set<string>([key, ...fields, ...ADDED[kind]])].sort();
      assert.deepEqual(Object.keys(schemas[kind].shape).sort(), known, kind);
    }
  });

  it('of an interface that was only seen are marked, since applying them is to declare nothing', () => {
    const [seen] = parseDocuments('{kind: vm, id: a, name: "", pool: one, declared: false, devices: [], home: n}', 'f');
    assert.deepEqual([seen!.observed, seen!.spec], [true, { kind: 'vm', name: '', pool: 'one' }]);
    const [declared] = parseDocuments('{kind: vm, id: a, declared: true}', 'f');
    assert.equal(declared!.observed, undefined);
  });

  it('may be a list of nothing, as what "list" prints of nothing', () => {
    assert.deepEqual(parseDocuments('{items: [], revision: 3}', 'f'), []);
  });

  it('keep unknown fields, so that the controller refuses them', () => {
    assert.equal(parseDocuments('{kind: Policy, name: p, percnt: 5}', 'f')[0]!.spec.percnt, 5);
  });

  for (const [text, message] of [
    ['', /holds no document/],
    ['---\n---\n', /holds no document/],
    ['just words', /not a mapping/],
    ['{name: p}', /it has no "kind"; use Domain, Pool, Node, Interface, Policy/],
    ['{kind: Polcy, name: p}', /"Polcy" is not known/],
    ['{kind: Policy}', /the Policy has no "name"/],
    ['{kind: Interface, name: x, interfaceKind: vm}', /the Interface has no "id"/],
    ['{kind: Interface, id: x}', /needs "interfaceKind"/],
    ['{kind: edge, id: x, edge: {allowedVlans: "9-3"}}', /write 3-9/],
    ['{kind: Domain, name: d}\n---\n{kind: Domain, name: d}', /document 2: Domain d is already in f, document 1/],
    ['a: [', /document 1/],
  ] as const) {
    it(`are refused as ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseDocuments(text, 'f'), refusedWith(message));
    });
  }
});

function problem(code: ErrorCode, field: string): Problem {
  return {
    type: '',
    title: '',
    status: 422,
    code: 'POLICY_INVALID',
    detail: '',
    errors: [{ code, field, message: '' }],
  };
}

describe('a refused document of several', () => {
  const policy: Document = {
    kind: 'Policy',
    name: 'p',
    where: '',
    spec: { name: 'p', sources: ['a', 'b'], destination: 'c' },
  };
  const other: Document = {
    kind: 'Policy',
    name: 'q',
    where: 'q',
    spec: { name: 'q', sources: ['z'], destination: 'c' },
  };
  const interfaceB: Document = { kind: 'Interface', name: 'b', where: '', spec: { kind: 'vm' } };

  it('waits for an interface that the same file brings', () => {
    const missing = problem('POLICY_SOURCE_NOT_FOUND', 'sources[1]');
    assert.equal(settledBy(policy, missing, [policy, interfaceB]), 'it needs Interface b of the same file');
  });

  it('stands refused where the file brings another interface than the one that is missing', () => {
    assert.equal(settledBy(policy, problem('POLICY_SOURCE_NOT_FOUND', 'sources[0]'), [interfaceB]), undefined);
    assert.equal(settledBy(policy, problem('POLICY_DESTINATION_NOT_FOUND', 'destination'), [interfaceB]), undefined);
  });

  it('stands refused for what no other document can settle', () => {
    assert.equal(settledBy(policy, problem('POLICY_PERCENT_INVALID', 'percent'), [interfaceB, other]), undefined);
    const both = problem('POLICY_SOURCE_NOT_FOUND', 'sources[1]');
    both.errors.push({ code: 'POLICY_PERCENT_INVALID', field: 'percent', message: '' });
    assert.equal(settledBy(policy, both, [interfaceB]), undefined);
  });

  it('waits for a policy that gives a source free', () => {
    assert.match(settledBy(policy, problem('POLICY_SOURCE_IN_USE', 'sources[0]'), [policy, other])!, /Policy q/);
    assert.equal(settledBy(policy, problem('POLICY_SOURCE_IN_USE', 'sources[0]'), [policy]), undefined);
  });

  it('waits for the pool of a node, and for nothing where another field is wrong', () => {
    const node: Document = { kind: 'Node', name: 'n', where: '', spec: { pool: 'one' } };
    const pool: Document = { kind: 'Pool', name: 'one', where: '', spec: { domain: 'd' } };
    assert.match(settledBy(node, problem('NOT_FOUND', 'pool'), [node, pool])!, /Pool one/);
    assert.equal(settledBy(node, problem('FIELD_UNKNOWN', 'colour'), [node, pool]), undefined);
  });

  it('is found where two policies of the file claim one source', () => {
    const claim: Document = { ...other, spec: { ...other.spec, sources: ['x', 'b'] } };
    const found = repeatedSources([policy, claim]);
    assert.equal(found.length, 1);
    assert.equal(found[0]!.document, claim);
    assert.deepEqual(
      found[0]!.refusals.map(({ code, field }) => [code, field]),
      [['POLICY_SOURCE_IN_USE', 'sources[1]']],
    );
    assert.deepEqual(repeatedSources([policy, other]), []);
  });
});
