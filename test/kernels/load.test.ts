/** The objects load into this kernel and others within the steps that it may take. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { machine, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HEAR_OBJECT_PATH, OBJECT_PATH } from '@mirrorplane/agent/testing/brought';
import { loadOn } from './check.ts';
import { faults, STEPS_MAX } from './judge.ts';
import { getKernel, type Kernel, parseWish } from './kernel.ts';
import { loadEach } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-load-'));
after(() => rmSync(folder, { recursive: true }));

/** Compiles programs for a tc hook. Returns the path of the object file. */
function compiled(name: string, programs: string): string {
  const source = `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n${programs}\nchar LICENSE[] SEC("license") = "GPL";`;
  const object = join(folder, `${name}.o`);
  const flags = [
    '-O2',
    '-g',
    '-target',
    'bpf',
    `-I/usr/include/${machine()}-linux-gnu`,
    '-x',
    'c',
    '-',
    '-c',
    '-o',
    object,
  ];
  execFileSync('clang', flags, { input: source });
  return object;
}

const OUR_OBJECTS = [OBJECT_PATH, HEAR_OBJECT_PATH];
const loadOurs = () => OUR_OBJECTS.flatMap((path) => [...loadEach(path)]);

test('every program of the objects loads into the running kernel in at most 400,000 steps', () => {
  const results = loadOurs();
  assert.ok(results.length >= 8, `only ${results.length} programs`);
  assert.deepEqual(faults(results), []);
});

test('a program that reads behind the packet is a fault with the words of the verifier, and its neighbour is none', () => {
  const object = compiled(
    'refused',
    `SEC("tc") int fine(struct __sk_buff *skb) { return 0; }
     SEC("tc") int wild(struct __sk_buff *skb) { return *(int *)(long)skb->data; }`,
  );
  const results = [...loadEach(object)];
  assert.deepEqual(
    results.map(({ program, errno }) => [program, errno]),
    [
      ['fine', 0],
      ['wild', 13], // EACCES
    ],
  );
  const said = faults(results);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /^wild is refused with error 13:[\s\S]*invalid access to packet/);
});

test('a program that loads and takes more than 400,000 steps is a fault', () => {
  // The verifier walks through each round of a bounded loop.
  const object = compiled(
    'slow',
    `SEC("tc") int slow(struct __sk_buff *skb) {
       volatile int sum = 0;
       for (int i = 0; i < 60000; i++) sum += i;
       return sum;
     }`,
  );
  const results = [...loadEach(object)];
  assert.equal(results[0]?.errno, 0);
  assert.ok(results[0].steps! > STEPS_MAX, `${results[0].steps} steps`);
  assert.match(faults(results).join(), /^slow takes \d+ steps of the verifier; at most 400000 are allowed$/);
});

for (const version of ['6.1', '6.12']) {
  test(`every program of the objects loads into Debian's Linux ${version} in at most 400,000 steps`, async (t) => {
    let kernel: Kernel;
    try {
      kernel = await getKernel(parseWish(version));
    } catch (error) {
      t.skip(`SKIPPED: Linux ${version} cannot be had: ${(error as Error).message}`);
      return;
    }
    const { programs, bootSeconds } = await loadOn(kernel, OUR_OBJECTS);
    t.diagnostic(`Linux ${kernel.release}: booted in ${bootSeconds.toFixed(1)} s, ${programs.length} programs`);
    assert.equal(programs.length, loadOurs().length);
    assert.deepEqual(faults(programs), []);
  });
}
