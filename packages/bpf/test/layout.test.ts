/** Compares structs, enums, maps and programs of the object with the layout in user space. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  DELIVERY_KIND,
  FATE,
  FUNCTION_BYTES,
  HEAR_LAYOUT,
  HEAR_MAPS,
  HEAR_OBJECT_PATH,
  HEAR_PROGRAM,
  HOOK,
  JOIN,
  LAYOUT,
  MAPS,
  OBJECT_PATH,
  PLACE,
  PROGRAMS,
  TERM,
} from '@mirrorplane/agent/testing';
import {
  COPY_REFUSALS,
  DROP_REASONS,
  LOOK_LIMITS,
  SKIP_REASONS,
  TERMINATION_DROP_REASONS,
} from '@mirrorplane/contract';

interface BtfType {
  kind: string;
  name: string;
  size?: number;
  members?: { name: string; bits_offset: number }[];
}

function typesOf(object: string): BtfType[] {
  const text = execFileSync('bpftool', ['btf', 'dump', 'file', object, '-j'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  return (JSON.parse(text) as { types: BtfType[] }).types;
}

const types = typesOf(OBJECT_PATH);
const hearTypes = typesOf(HEAR_OBJECT_PATH);

function struct(name: string, types: readonly BtfType[]): BtfType {
  const found = types.find((type) => type.kind === 'STRUCT' && type.name === name);
  assert.ok(found, `no struct ${name} in the object`);
  return found;
}

for (const [name, layout, from] of [
  ...Object.entries(LAYOUT).map(([name, layout]) => [name, layout, types] as const),
  ...Object.entries(HEAR_LAYOUT).map(([name, layout]) => [name, layout, hearTypes] as const),
]) {
  test(`struct ${name} has the size and the offsets that user space writes and reads`, () => {
    const { size, members } = struct(name, from);
    assert.equal(size, layout.size);
    const offsets = members!
      .filter((member) => member.name !== 'padding')
      .map((member) => [member.name, member.bits_offset / 8]);
    assert.deepEqual(Object.fromEntries(offsets), layout.fields);
  });
}

test('a count is packets, then bytes, 64 bits each', () => {
  const { size, members } = struct('count', types);
  assert.equal(size, 16);
  assert.deepEqual(
    members!.map((member) => [member.name, member.bits_offset]),
    [
      ['packets', 0],
      ['bytes', 64],
    ],
  );
});

test('the objects have every map and every program that the agent opens', () => {
  const named = (kind: string, from: readonly BtfType[]) =>
    new Set(from.filter((type) => type.kind === kind).map(({ name }) => name));
  for (const [from, maps, programs] of [
    [types, MAPS, Object.values(PROGRAMS)],
    [hearTypes, HEAR_MAPS, [HEAR_PROGRAM]],
  ] as const) {
    for (const name of maps) {
      assert.ok(named('VAR', from).has(name), `map ${name}`);
    }
    for (const name of programs) {
      assert.ok(named('FUNC', from).has(name), `program ${name}`);
    }
  }
});

const constant = (prefix: string, camelCase: string) =>
  `${prefix}_${camelCase.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/**
 * Compiles static assertions about types.h. The object's BTF does not have enums without a variable
 * of their type.
 */
function assertInC(claims: Record<string, number>): void {
  const source = [
    '#include "hear-types.h"',
    ...Object.entries(claims).map(([name, value]) => `_Static_assert(${name} == ${value}, "${name} is not ${value}");`),
  ];
  execFileSync('clang', ['-fsyntax-only', '-x', 'c', '-I', fileURLToPath(new URL('../src', import.meta.url)), '-'], {
    input: source.join('\n'),
    stdio: ['pipe', 'ignore', 'pipe'],
  });
}

for (const [what, prefix, names, count] of [
  ['drop reasons', 'DROP', DROP_REASONS, 'DROP_REASON_COUNT'],
  ['skip reasons', 'SKIP', SKIP_REASONS, 'SKIP_REASON_COUNT'],
  ['termination drop reasons', 'TERMINATION', TERMINATION_DROP_REASONS, 'TERMINATION_DROP_COUNT'],
  ['copy refusals', 'REFUSED', COPY_REFUSALS, 'COPY_REFUSAL_COUNT'],
] as const) {
  test(`the ${what} of types.h are those of the contract, in the same order`, () => {
    const values = names.map((name, i) => [constant(prefix, name), i] as const);
    assertInC({ ...Object.fromEntries(values), [count]: names.length });
  });
}

test('hooks and delivery kinds of types.h are those of user space', () => {
  const values = (prefix: string, names: Record<string, number>) =>
    Object.fromEntries(Object.entries(names).map(([name, value]) => [constant(prefix, name), value]));
  assertInC({ ...values('HOOK', HOOK), ...values('DELIVERY', DELIVERY_KIND) });
});

test('places, fates and terms of looks are those of user space, and so is how many there are', () => {
  const simple = [...FATE].filter(([fate]) => !fate.includes(':'));
  assertInC({
    ...Object.fromEntries(Object.entries(PLACE).map(([name, value]) => [constant('PLACE', name), value])),
    ...Object.fromEntries(Object.entries(TERM).map(([name, value]) => [constant('TERM', name), value])),
    ...Object.fromEntries(Object.entries(JOIN).map(([name, value]) => [constant('JOIN', name), value])),
    ...Object.fromEntries(simple.map(([name, value]) => [constant('FATE', name), value])),
    FATE_DROPPED: FATE.get('dropped:cloneFailed')!,
    FATE_SKIPPED: FATE.get('skipped:isCopy')!,
    FUNCTION_BYTES,
    LOOKS: LOOK_LIMITS.looks,
    LOOK_TERMS: LOOK_LIMITS.comparisons,
    LOOK_RECORD_HEAD: LAYOUT.look_record.fields.bytes,
  });
  assert.ok(Math.max(...FATE.values()) < 64);
});

test('a wrong claim about types.h does not compile', () => {
  assert.throws(() => assertInC({ DROP_REASON_COUNT: 0 }), /DROP_REASON_COUNT is not 0/);
});
