/** A lab as its own parts see it: its name, folder, state and namespaces, and its API. `Lab` adds what is done with one. */
import { join } from 'node:path';
import { type ApiResponse, callApi } from './api.ts';
import { hostNames, namespaceOf } from './build.ts';
import { LabError, type LabState, readState } from './state.ts';
import type { Topology } from './topology.ts';

/** The unix socket of the lab's API. */
export const apiSocket = (runDir: string) => join(runDir, 'api.sock');
/** The controller's data folder. */
export const controllerData = (runDir: string) => join(runDir, 'controller');
/** The file that the controller writes the operators' token to. */
export const tokenFile = (runDir: string) => join(controllerData(runDir), 'admin-token');

/** Names a lab that exists, and finds its parts. */
export class LabHandle {
  readonly name: string;
  /** State, logs, sockets and data of the lab. */
  readonly runDir: string;

  constructor(name: string, runDir: string) {
    this.name = name;
    this.runDir = runDir;
  }

  /** The state as it is on disk. Throws `LabError` when the lab is gone. */
  get state(): LabState {
    const state = readState(this.runDir);
    if (state === null) {
      throw new LabError(`there is no lab ${this.name}; create it with: mirrorplane lab up --name ${this.name}`);
    }
    return state;
  }

  get topology(): Topology {
    return this.state.topology;
  }

  /** The network namespace of a host. Throws `LabError` on a name that is none, and on a QEMU machine, which has none. */
  ns(host: string): string {
    const { topology } = this;
    const vm = topology.vms.find((v) => v.name === host);
    if (vm?.machine === 'qemu') {
      const how = `run commands in it with 'lab exec', capture on ${vm.device} of ${vm.node}`;
      throw new LabError(`${host} is a QEMU machine and not a namespace: ${how}`);
    }
    const name = vm?.host ?? host;
    if (!hostNames(topology).includes(name)) {
      throw new LabError(`lab ${this.name} has no host ${host}; it has ${hostNames(topology).join(', ')}`);
    }
    return namespaceOf(this.name, name);
  }

  /** The controller's unix socket. */
  get apiSocket(): string {
    return apiSocket(this.runDir);
  }

  /** The file with the operators' API token. */
  get tokenFile(): string {
    return tokenFile(this.runDir);
  }

  /** Calls the API with the operators' token. Answers of every status are returned; a controller that is down throws. */
  api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<ApiResponse> {
    return callApi(this.apiSocket, this.tokenFile, method, path, body, headers);
  }
}
