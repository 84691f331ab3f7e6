/** Reads descriptions of containers from container runtimes. Pure. */
import * as z from 'zod';

/** A container or pod, and its network namespace. */
export interface Container {
  /**
   * The beginning of its interfaces' ids. It comes from the name of the container, and does not
   * depend on the runtime.
   */
  id: string;
  /** For people. */
  name: string;
  /** Path of its network namespace. */
  namespace: string;
  /** Name of the network by MAC address, if the runtime knows it. */
  networks: ReadonlyMap<string, string>;
}

/** The needed part of a bundle's `config.json`. The OCI runtime specification has the format. */
const Bundle = z.object({
  annotations: z.record(z.string(), z.string()).nullish(),
  linux: z
    .object({ namespaces: z.array(z.object({ type: z.string(), path: z.string().optional() })).nullish() })
    .nullish(),
});

/** Annotations by which a runtime marks the bundle of a pod's sandbox, and names the pod. */
const POD_ANNOTATIONS = [
  {
    type: 'io.kubernetes.cri.container-type',
    namespace: 'io.kubernetes.cri.sandbox-namespace',
    name: 'io.kubernetes.cri.sandbox-name',
  },
  // For CRI-O, the annotations that come from labels of the kubelet. A pod's own annotations cannot
  // replace them.
  {
    type: 'io.kubernetes.cri-o.ContainerType',
    namespace: 'io.kubernetes.pod.namespace',
    name: 'io.kubernetes.pod.name',
  },
] as const;

/** The id of a pod. Another cluster may have a pod of the same name; `scope` distinguishes them. */
function podId(scope: string | undefined, namespace: string, name: string): string {
  return ['pod', ...(scope === undefined ? [] : [scope]), namespace, name].join('/');
}

/**
 * Reads a bundle's `config.json` of containerd or CRI-O. Undefined if it is not the sandbox of a
 * pod, or the pod has no network namespace of its own.
 * @param scope distinguishes pods of different clusters
 * @throws Error if it is not understood
 */
export function podOf(config: string, scope: string | undefined): Container | undefined {
  const { annotations, linux } = Bundle.parse(JSON.parse(config));
  const said = new Map(Object.entries(annotations ?? {}));
  const keys = POD_ANNOTATIONS.find(({ type }) => said.get(type) === 'sandbox');
  const namespace = keys && said.get(keys.namespace);
  const name = keys && said.get(keys.name);
  const path = linux?.namespaces?.find(({ type }) => type === 'network')?.path;
  if (!namespace || !name || !path) {
    return undefined;
  }
  return { id: podId(scope, namespace, name), name: `${namespace}/${name}`, namespace: path, networks: new Map() };
}

/** The needed part of an item of `GET /containers/json`. */
export const ListedContainer = z.object({ Id: z.string().regex(/^[0-9a-f]{12,64}$/) });

/** The needed part of `GET /containers/ID/json`. */
const Inspected = z.object({
  Name: z.string(),
  HostConfig: z.object({ NetworkMode: z.string().nullish() }).nullish(),
  NetworkSettings: z.object({
    SandboxKey: z.string().nullish(),
    Networks: z.record(z.string(), z.object({ MacAddress: z.string().nullish() }).nullish()).nullish(),
  }),
});

/** Name that cri-dockerd gives the sandbox of a pod: `k8s_POD_NAME_NAMESPACE_UID_ATTEMPT`. */
const POD_SANDBOX = /^k8s_POD_([^_]+)_([^_]+)_[^_]+_\d+$/;

/**
 * Reads the description of a container from Docker or Podman. Undefined if it has no network
 * namespace of its own. Labels are not used, because the author of the image may have written them.
 * @param node the container's node, because names of containers are unique only on a node
 * @throws Error if it is not understood
 */
export function containerOf(inspected: unknown, node: string, scope: string | undefined): Container | undefined {
  const { Name, HostConfig, NetworkSettings } = Inspected.parse(inspected);
  const path = NetworkSettings.SandboxKey;
  // For a container in another container's network, Podman returns the path of that network.
  if (!path || HostConfig?.NetworkMode?.startsWith('container:')) {
    return undefined;
  }
  const name = Name.replace(/^\//, '');
  const networks = new Map(
    Object.entries(NetworkSettings.Networks ?? {}).flatMap(([network, of]) =>
      of?.MacAddress ? [[of.MacAddress.toLowerCase(), network] as const] : [],
    ),
  );
  const [, pod, namespace] = POD_SANDBOX.exec(name) ?? [];
  if (pod !== undefined && namespace !== undefined) {
    return { id: podId(scope, namespace, pod), name: `${namespace}/${pod}`, namespace: path, networks };
  }
  return { id: `container/${node}/${name}`, name, namespace: path, networks };
}
