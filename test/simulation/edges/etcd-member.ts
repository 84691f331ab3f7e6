/** Stands in for the connection to one member of etcd: calls go to the simulated members. */
import type { EtcdReceiver, EtcdRunning } from '@mirrorplane/controller/testing/control';
import { Process } from '../core/process.ts';
import { simulation } from '../core/simulation.ts';

/** Who asks outside of all steps. */
const NOBODY = new Process('nobody', { rate: 1, offset: 0 }, 0);

export class Member {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  call(call: string, request: Buffer, receiver: EtcdReceiver): EtcdRunning {
    const { etcd, scheduler } = simulation();
    return etcd!.call(scheduler.current ?? NOBODY, new URL(this.url).hostname, call, request, receiver);
  }

  close(): void {}
}
