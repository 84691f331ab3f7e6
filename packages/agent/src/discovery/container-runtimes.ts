/**
 * Lists the containers of container runtimes: from their bundles, or by the API of Docker and
 * Podman.
 */
import { access, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { errno, readBounded } from './bounded-file.ts';
import { type Container, containerOf, ListedContainer, podOf } from './container-lists.ts';
import { getItems, getJson, HttpError } from './unix-http.ts';

/** A place of containers. */
export interface Runtime {
  /** Folder of bundles, or socket. */
  path: string;
  /** `bundles`: a folder with a bundle for each container. `api`: a socket with Docker's API. */
  kind: 'bundles' | 'api';
  /**
   * File that exists while the runtime runs. A connection to the socket of a stopped runtime would
   * start it.
   */
  pidFile?: string;
}

/** The runtimes that `auto` looks for. */
export const RUNTIMES: readonly Runtime[] = [
  // containerd of Debian and kubeadm, K3s and RKE2, K0s, MicroK8s.
  ...['/run/containerd', '/run/k3s/containerd', '/run/k0s/containerd', '/var/snap/microk8s/common/run/containerd'].map(
    (state): Runtime => ({ path: `${state}/io.containerd.runtime.v2.task/k8s.io`, kind: 'bundles' }),
  ),
  // CRI-O.
  { path: '/run/containers/storage/overlay-containers', kind: 'bundles' },
  { path: '/run/docker.sock', kind: 'api', pidFile: '/run/docker.pid' },
  { path: '/run/podman/podman.sock', kind: 'api' },
];

/** The most containers of one runtime on a host. */
const MAX_CONTAINERS = 4096;
/** The largest configuration of a bundle, or description of a container, bytes. */
const CONFIG_LIMIT = 4 << 20;
/** Parallel requests. */
const PARALLEL = 4;
/**
 * Milliseconds after which no further container is read. A container without an answer takes ten
 * seconds.
 */
const ASKING_MS = 60_000;

/** The result of reading a runtime. */
export interface ContainerReading {
  /** By the id of the runtime. */
  containers: Map<string, Container>;
  /** Entries that were not understood, one line each. */
  unreadable: string[];
}

/** The parts of ids. */
export interface ContainerNaming {
  /** Name of the node. */
  node: string;
  /** Distinguishes pods of different clusters. */
  scope: string | undefined;
}

/**
 * Reads the containers of a runtime. If a listed container cannot be read now, its last description
 * is used.
 * @param options.last result of the last reading
 * @param options.askingMs milliseconds after which no further container is read. Default one minute
 * @throws Error if the runtime cannot be read now; with the code `ENOENT` if it does not exist
 */
export async function readContainers(
  runtime: Runtime,
  naming: ContainerNaming,
  { last, askingMs = ASKING_MS }: { last?: ContainerReading | undefined; askingMs?: number } = {},
): Promise<ContainerReading> {
  const reading: ContainerReading = { containers: new Map(), unreadable: [] };
  if (runtime.pidFile !== undefined) {
    await access(runtime.pidFile);
  }
  const bundles = runtime.kind === 'bundles';
  const { ids, more } = bundles ? await bundlesIn(runtime.path) : await listed(runtime.path);
  if (more) {
    reading.unreadable.push(`${runtime.path} has more than ${MAX_CONTAINERS} containers; only that many are read`);
  }
  // Unknown containers first, in case the time is too short for all.
  const queue = [...ids.filter((id) => last?.containers.has(id)), ...ids.filter((id) => !last?.containers.has(id))];
  const end = performance.now() + askingMs;
  const keepLast = (id: string) => {
    const known = last?.containers.get(id);
    if (known !== undefined) {
      reading.containers.set(id, known);
    }
  };
  let late = 0;
  const work = async () => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (performance.now() > end) {
        late++;
        keepLast(id);
        continue;
      }
      try {
        const found = bundles ? await podIn(join(runtime.path, id), naming) : await inspect(runtime.path, id, naming);
        if (found !== undefined) {
          reading.containers.set(id, found);
        }
      } catch (error) {
        // An error of a system call affects the runtime, and not only one container.
        if (errno(error) !== undefined) {
          throw error;
        }
        reading.unreadable.push(`${join(runtime.path, id)}: ${error instanceof Error ? error.message : error}`);
        keepLast(id);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  if (late > 0) {
    const what = `${late} containers could not be read within ${askingMs / 1000} s; their last known state holds`;
    reading.unreadable.unshift(`${runtime.path}: ${what}`);
  }
  return reading;
}

/** Ids of a runtime's containers. */
interface Ids {
  ids: string[];
  /** There are more containers than `ids` has. */
  more: boolean;
}

async function bundlesIn(folder: string): Promise<Ids> {
  const ids: string[] = [];
  for await (const { name } of await opendir(folder)) {
    if (ids.length === MAX_CONTAINERS) {
      return { ids, more: true };
    }
    ids.push(name);
  }
  return { ids, more: false };
}

async function listed(socket: string): Promise<Ids> {
  const ids: string[] = [];
  const question = { socket, path: '/containers/json', level: 0, most: MAX_CONTAINERS } as const;
  const more = await getItems(question, (item) => ids.push(ListedContainer.parse(item).Id));
  return { ids, more };
}

async function podIn(folder: string, { scope }: ContainerNaming): Promise<Container | undefined> {
  // CRI-O has the bundle one folder below.
  const config =
    (await readBounded(join(folder, 'config.json'), CONFIG_LIMIT)) ??
    (await readBounded(join(folder, 'userdata/config.json'), CONFIG_LIMIT));
  return config === undefined ? undefined : podOf(config, scope);
}

async function inspect(socket: string, id: string, { node, scope }: ContainerNaming): Promise<Container | undefined> {
  try {
    return containerOf(await getJson(socket, `/containers/${id}/json`, { limit: CONFIG_LIMIT }), node, scope);
  } catch (error) {
    // The container was removed since the listing.
    if (error instanceof HttpError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
