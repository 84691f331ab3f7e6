/**
 * A lab as its own parts use it: name, folder, state, namespaces and API. `Lab` adds the
 * operations.
 */
import { join } from 'node:path';
import { type ApiResponse, callApi } from './api.ts';
import { hostNames, namespaceOf } from './build.ts';
import { LabError, type LabState, readState } from './state.ts';
import type { Topology } from './topology.ts';

/** The unix socket of the lab's API. */
export const apiSocket = (runDir: string) => join(runDir, 'api', 'api.sock');
/** The controller's data folder. */
export const controllerData = (runDir: string) => join(runDir, 'controller');
/** The file with the operators' token, written by the controller. */
export const tokenFile = (runDir: string) => join(controllerData(runDir), 'admin-token');

/** Refers to an existing lab, and finds its parts. */
export class LabHandle {
  readonly name: string;
  /** State, logs, sockets and data of the lab. */
  readonly runDir: string;

  constructor(name: string, runDir: string) {
    this.name = name;
    this.runDir = runDir;
  }

  /** The state on disk. Throws `LabError` if the lab no longer exists. */
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

  /**
   * The network namespace of a host. Throws `LabError` for an unknown name, and for a QEMU machine,
   * which has no namespace.
   */
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

  /**
   * Calls the API with the operators' token. Returns answers of every status. Throws if the
   * controller is down.
   */
  api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<ApiResponse> {
    return callApi(this.apiSocket, this.tokenFile, method, path, body, headers);
  }
}
