/** The contract of a data path, held by the one in the kernel. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { datapathContract } from '../datapath-contract.ts';
import { HOOK } from './support/hook.ts';
import { addVeth, bpffsFolder, enterOwnNamespace, leftPins, run } from './support/namespace.ts';

const DEVICES = ['c1', 'c2', 'c3', 'c4'];

after(() => assert.deepEqual(leftPins(), []));

datapathContract('kernel data path', () => {
  enterOwnNamespace();
  const bpffs = bpffsFolder();
  return {
    create: () => createKernelDatapath({ hook: HOOK, bpffs }),
    devices: DEVICES.map((name) => addVeth(name).ifindex),
    refused: 99_999,
    dispose: () => {
      for (const name of DEVICES) {
        run('ip', 'link', 'del', name);
      }
    },
  };
});
