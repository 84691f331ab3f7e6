/** Reads a libvirt domain: its NICs, their devices, and whether its guest runs here. Pure. */
import { DeviceIdentity, type GuestState, type NodeProblem } from '@mirrorplane/contract';
import { DOMParser, type Element } from '@xmldom/xmldom';
import { type Claim, MAX_TEXT } from './provider.ts';

/** XML namespace of the metadata element in which an operator names a domain's NICs. */
export const METADATA_URI = 'urn:mirrorplane:interfaces:1';

/** The needed part of a libvirt domain. */
export interface Domain {
  uuid: string;
  name: string;
  /** It has a process here: its guest runs, is paused, or arrives by migration. */
  active: boolean;
  claims: Claim[];
  problems: NodeProblem[];
}

/**
 * State and reason of a domain as numbers: `virDomainState` and the reasons in libvirt-domain.h.
 */
export interface DomainState {
  state: number;
  reason: number;
}

const PAUSED = 3;
/**
 * Reasons of a pause that mean that the guest is not here: migrating, starting, post-copy,
 * post-copy failed.
 */
const PAUSED_ELSEWHERE = new Set([2, 11, 12, 13]);
const SHUT_OFF = 5;
const CRASHED = 6;

/**
 * Whether the guest of a domain is here. If an operator has paused the domain, the guest is still
 * here, and packets for it wait at its device. If a migration has paused the domain, the guest has
 * not come yet, or has left.
 */
export function guestState({ state, reason }: DomainState): GuestState | undefined {
  if (state === 0) {
    return undefined;
  }
  if (state === SHUT_OFF || state === CRASHED) {
    return 'absent';
  }
  return state === PAUSED && PAUSED_ELSEWHERE.has(reason) ? 'absent' : 'running';
}

/** Kinds of NICs without a kernel device on the node, and the reason. */
const NO_DEVICE: Record<string, string> = {
  hostdev: 'it is passed through (SR-IOV, VFIO)',
  vhostuser: 'it is a vhost-user port of a switch in user space',
  vdpa: 'it is a vDPA device',
  user: 'it is of type user, a network stack within QEMU',
};

/**
 * Reads the XML of a domain.
 * @param guest result of `guestState`
 * @throws Error if it is not the XML of a domain
 */
export function parseDomain(xml: string, guest: GuestState | undefined): Domain {
  const root = new DOMParser({
    onError: (level, message) => {
      if (level !== 'warning') {
        throw new Error(`not well-formed XML: ${message}`);
      }
    },
  }).parseFromString(xml, 'text/xml').documentElement;
  if (root?.localName !== 'domain') {
    throw new Error('it is not the XML of a domain');
  }
  const uuid = text(root, 'uuid').toLowerCase();
  const name = text(root, 'name');
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) {
    throw new Error(`domain ${name} has no UUID`);
  }
  const life = root.getAttribute('id') ?? '';
  const domain: Domain = { uuid, name, active: life !== '', claims: [], problems: [] };
  const given = metadata(root);
  const nics = child(root, 'devices').flatMap((devices) => child(devices, 'interface'));
  nics.forEach((nic, index) => {
    readNic(domain, nic, { index, life, guest, given });
  });
  return domain;
}

interface NicContext {
  index: number;
  life: string;
  guest: GuestState | undefined;
  given: ReadonlyMap<string, Element>;
}

function readNic(domain: Domain, nic: Element, { index, life, guest, given }: NicContext): void {
  const mac = attribute(nic, 'mac', 'address').toLowerCase();
  const named = given.get(mac);
  const label = `${domain.name} ${attribute(nic, 'alias', 'name') || `net${index}`}`;
  const network = named?.getAttribute('network') || networkOf(nic);
  const identity = DeviceIdentity.safeParse({
    kind: named?.getAttribute('kind') || 'vm',
    id: named?.getAttribute('id') || `${domain.uuid}/${mac.replaceAll(':', '-')}`,
    name: (named?.getAttribute('name') || label).slice(0, MAX_TEXT),
    ...(network && { network: network.slice(0, MAX_TEXT) }),
    provider: 'libvirt',
  });
  const type = nic.getAttribute('type') ?? '';
  const unsupported = NO_DEVICE[type];
  if (unsupported !== undefined) {
    if (!domain.active || !identity.success) {
      return;
    }
    const { id } = identity.data;
    const message = `${id} (${label}): ${unsupported}, and no kernel device sees its traffic`;
    domain.problems.push({ code: 'DEVICE_UNSUPPORTED', message, interface: id });
    return;
  }
  const device = attribute(nic, 'target', 'dev');
  if (device === '' || mac === '') {
    return;
  }
  const base = { device, mac, life, ...(guest !== undefined && { guest }) };
  const error = refusal(identity);
  if (error !== undefined) {
    domain.claims.push({ ...base, error: `${label}: ${error}` });
  } else if (identity.success) {
    domain.claims.push({ ...base, identity: identity.data });
  }
}

function refusal(identity: ReturnType<typeof DeviceIdentity.safeParse>): string | undefined {
  if (!identity.success) {
    const issue = identity.error.issues[0];
    return `${issue?.path.join('.')} in the metadata: ${issue?.message}`;
  }
  return identity.data.kind === 'edge' ? 'kind in the metadata: write vm or nfv' : undefined;
}

/** The network of a NIC: a libvirt network, else a bridge. */
function networkOf(nic: Element): string {
  return attribute(nic, 'source', 'network') || attribute(nic, 'source', 'bridge');
}

/** The operator's metadata of each NIC, by MAC address. */
function metadata(root: Element): Map<string, Element> {
  const ours = child(root, 'metadata').flatMap((all) =>
    [...all.childNodes].filter(isElement).filter(({ namespaceURI }) => namespaceURI === METADATA_URI),
  );
  const nics = ours.flatMap((element) => child(element, 'interface'));
  return new Map(nics.map((nic) => [(nic.getAttribute('mac') ?? '').toLowerCase(), nic]));
}

function isElement(node: { nodeType: number }): node is Element {
  return node.nodeType === 1;
}

function child(parent: Element, name: string): Element[] {
  return [...parent.childNodes].filter(isElement).filter(({ localName }) => localName === name);
}

function text(parent: Element, name: string): string {
  return child(parent, name)[0]?.textContent?.trim() ?? '';
}

function attribute(parent: Element, name: string, key: string): string {
  return child(parent, name)[0]?.getAttribute(key) ?? '';
}
