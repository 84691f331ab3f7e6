/** Asks container runtimes for their containers: by the bundles that they run, or by the API of Docker and Podman. */
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errno, readBounded } from './bounded-file.ts';
import { type Container, ContainerList, containerOf, podOf } from './container-lists.ts';
import { getJson, HttpError } from './unix-http.ts';

/** Where to find containers. */
export interface Runtime {
  /** Folder of bundles, or socket. */
  path: string;
  /** `bundles`: a folder with one of a container each. `api`: a socket where Docker's API is spoken. */
  kind: 'bundles' | 'api';
  /** File that is there while it runs: who connects to the socket of one that does not run would start it. */
  pidFile?: string;
}

/** What `auto` looks for. */
export const RUNTIMES: readonly Runtime[] = [
  // containerd: as of Debian and kubeadm, K3s and RKE2, K0s, MicroK8s.
  ...['/run/containerd', '/run/k3s/containerd', '/run/k0s/containerd', '/var/snap/microk8s/common/run/containerd'].map(
    (state): Runtime => ({ path: `${state}/io.containerd.runtime.v2.task/k8s.io`, kind: 'bundles' }),
  ),
  // CRI-O.
  { path: '/run/containers/storage/overlay-containers', kind: 'bundles' },
  { path: '/run/docker.sock', kind: 'api', pidFile: '/run/docker.pid' },
  { path: '/run/podman/podman.sock', kind: 'api' },
];

/** Containers of one runtime on one host that are looked at. */
const MAX_CONTAINERS = 4096;
/** Bytes of a bundle's configuration, or of what is said of one container. */
const CONFIG_LIMIT = 4 << 20;
/** Questions at once. */
const PARALLEL = 4;

/** What a runtime has given. */
export interface ContainerReading {
  /** By the id of the runtime. */
  containers: Map<string, Container>;
  /** What was not understood, a line each. */
  unreadable: string[];
}

/** How ids are made. */
export interface ContainerNaming {
  /** Name of the node. */
  node: string;
  /** What keeps pods apart from those of another cluster. */
  scope: string | undefined;
}

/**
 * Reads the containers of a runtime. Of one that is listed and cannot be read now, what was said last holds.
 * @param last what the runtime has given the last time
 * @throws Error where it cannot be read now; with the code `ENOENT` where it is not there
 */
export async function readContainers(
  runtime: Runtime,
  naming: ContainerNaming,
  last?: ContainerReading,
): Promise<ContainerReading> {
  const reading: ContainerReading = { containers: new Map(), unreadable: [] };
  if (runtime.pidFile !== undefined) await access(runtime.pidFile);
  const bundles = runtime.kind === 'bundles';
  const ids = bundles
    ? await readdir(runtime.path)
    : ContainerList.parse(await getJson(runtime.path, '/containers/json')).map(({ Id }) => Id);
  if (ids.length > MAX_CONTAINERS) {
    reading.unreadable.push(`${runtime.path} has ${ids.length} containers, ${MAX_CONTAINERS} are looked at`);
  }
  const queue = ids.slice(0, MAX_CONTAINERS);
  const work = async () => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      try {
        const found = bundles ? await podIn(join(runtime.path, id), naming) : await inspect(runtime.path, id, naming);
        if (found !== undefined) reading.containers.set(id, found);
      } catch (error) {
        // That the runtime itself cannot be read is not about one container.
        if (errno(error) !== undefined) throw error;
        reading.unreadable.push(`${join(runtime.path, id)}: ${error instanceof Error ? error.message : error}`);
        const known = last?.containers.get(id);
        if (known !== undefined) reading.containers.set(id, known);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return reading;
}

async function podIn(folder: string, { scope }: ContainerNaming): Promise<Container | undefined> {
  // CRI-O keeps the bundle one folder below.
  const config =
    (await readBounded(join(folder, 'config.json'), CONFIG_LIMIT)) ??
    (await readBounded(join(folder, 'userdata/config.json'), CONFIG_LIMIT));
  return config === undefined ? undefined : podOf(config, scope);
}

async function inspect(socket: string, id: string, { node, scope }: ContainerNaming): Promise<Container | undefined> {
  try {
    return containerOf(await getJson(socket, `/containers/${id}/json`, { limit: CONFIG_LIMIT }), node, scope);
  } catch (error) {
    // It has gone since it was listed.
    if (error instanceof HttpError && error.status === 404) return undefined;
    throw error;
  }
}
