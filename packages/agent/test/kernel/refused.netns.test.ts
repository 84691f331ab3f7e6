/** A build that the kernel does not take. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { before, test } from 'node:test';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { ProgramRefused } from '../../src/datapath/kernel/libbpf.ts';
import { buildWith } from './support/build.ts';
import { processFolder } from './support/folder.ts';
import { bpffsFolder, enterOwnNamespace } from './support/namespace.ts';

let refused: string;

before(() => {
  enterOwnNamespace();
  // The verifier wants a comparison with data_end before it lets a program read a packet.
  const source = 'SEC("tc") int reads_unchecked(struct __sk_buff *skb) { return *(volatile int *)(long)skb->data; }';
  refused = buildWith(processFolder(), source);
});

/** Everything below a folder. */
const below = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

test('a refused program is named with the kernel and the last lines of the verifier, and leaves nothing in bpffs', async () => {
  const bpffs = bpffsFolder();
  const datapath = createKernelDatapath({ bpffs, object: refused });
  const error = await datapath.open().then(
    () => assert.fail('it was loaded'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ProgramRefused);
  assert.equal(error.program, 'reads_unchecked');
  assert.equal(error.code, 'EACCES');
  const kernel = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
  assert.match(
    error.message,
    new RegExp(`^Linux ${kernel.replaceAll('.', '\\.')} refuses the program reads_unchecked`),
  );
  // The words of kernel/bpf/verifier.c for a read before any check.
  assert.match(error.lines.join('\n'), /invalid access to packet, off=0 size=4/);
  assert.ok(error.lines.length <= 20);
  assert.ok(error.lines.every((line) => error.message.includes(line)));
  assert.equal(existsSync(bpffs), false);
  datapath.close();
});

test('a refused build leaves the build that runs as it is', async () => {
  const bpffs = bpffsFolder();
  const running = createKernelDatapath({ bpffs });
  await running.open();
  try {
    const there = below(bpffs);
    assert.ok(there.includes('maps/captures'));
    const next = createKernelDatapath({ bpffs, object: refused });
    await assert.rejects(next.open(), ProgramRefused);
    next.close();
    assert.deepEqual(below(bpffs), there);
  } finally {
    await running.uninstall();
  }
  assert.equal(existsSync(bpffs), false);
});

test('preparing a data path changes nothing in bpffs until the data path is opened', async () => {
  const bpffs = bpffsFolder();
  const datapath = createKernelDatapath({ bpffs });
  assert.deepEqual(await datapath.prepare(), { installed: false });
  assert.equal(existsSync(bpffs), false);
  await datapath.open();
  assert.deepEqual(await datapath.prepare(), { installed: true });
  await datapath.uninstall();
  assert.equal(existsSync(bpffs), false);
});

test('a folder that is on no bpf file system is refused, and nothing is left there', async () => {
  const bpffs = `${processFolder()}/pins`;
  const datapath = createKernelDatapath({ bpffs });
  await assert.rejects(datapath.open());
  assert.equal(existsSync(bpffs), false);
  datapath.close();
});
