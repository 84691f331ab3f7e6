/**
 * Tells each node which looks it shall have: those of interfaces that are on it, or that migrate to
 * or from it. Level-triggered, as programs are.
 */
import type { LookOrder, LookRefusal } from '@mirrorplane/contract';
import type { LiveLook } from '../looks/live-look.ts';
import { nodesOf } from '../looks/look-nodes.ts';
import type { Services } from '../services.ts';

/** Sends a list to the agent of a node. @returns false: it is not connected */
type Send = (node: string, looks: LookOrder[]) => boolean;

/** A look has this times its rate on all nodes together. */
const NODES_AT_FULL_RATE = 4;

export class LookOrders {
  readonly #services: Services;
  readonly #send: Send;
  /** What each node was told last: ids of looks, and when their leases end. */
  readonly #told = new Map<string, string>();

  constructor(services: Services, send: Send) {
    this.#services = services;
    this.#send = send;
    services.looks.on('changed', () => this.#update());
    services.planning.onPlanned(() => this.#update());
  }

  /**
   * The agent of a node has connected. It is told its looks even if there are none: it may have some
   * that ended meanwhile, or that another run of the controller began.
   */
  joined(node: string): void {
    this.#told.delete(node);
    this.#update();
    if (!this.#told.has(node)) {
      this.#send(node, []);
    }
  }

  /** The agent of a node has disconnected. */
  left(node: string): void {
    this.#told.delete(node);
    for (const look of this.#services.looks.running()) {
      if (look.shares.has(node)) {
        look.share(node).set('away', 'its agent is not connected');
        look.tell();
      }
    }
  }

  /** A node cannot carry out these looks, and all others that it was asked for. */
  refused(node: string, refused: readonly LookRefusal[]): void {
    const messages = new Map(refused.map(({ look, message }) => [look, message]));
    for (const look of this.#services.looks.running().filter(({ shares }) => shares.has(node))) {
      const share = look.share(node);
      const message = messages.get(look.id);
      if (message !== undefined) {
        share.set('refused', message);
      } else if (share.state === 'refused') {
        share.set('asked');
      }
      look.tell();
    }
  }

  #update(): void {
    const { looks } = this.#services;
    if (looks.running().length === 0 && this.#told.size === 0) {
      return;
    }
    for (const look of looks.running()) {
      if (!this.#subjectsExist(look)) {
        looks.end(look.id, 'unseen');
      }
    }
    const running = looks.running();
    const wanted = new Map<string, LiveLook[]>();
    for (const look of running) {
      for (const node of this.#nodesOf(look)) {
        wanted.set(node, [...(wanted.get(node) ?? []), look]);
      }
    }
    for (const node of new Set([...wanted.keys(), ...this.#told.keys()])) {
      this.#tell(node, wanted.get(node) ?? []);
    }
  }

  /** Adds sources that the policy of a look has got. @returns false: nothing of it is there any more */
  #subjectsExist(look: LiveLook): boolean {
    const { view } = this.#services;
    if (look.policyUid === undefined) {
      return [...look.subjects].some((id) => view.get('interfaces', id) !== undefined);
    }
    const policy = view.get('policies', look.request.policy!)?.value;
    if (policy?.uid !== look.policyUid) {
      return false;
    }
    for (const id of policy.sources) {
      look.subjects.add(id);
    }
    return true;
  }

  #tell(node: string, looks: readonly LiveLook[]): void {
    const text = looks.map(({ id, leaseEndsAt }) => `${id} ${leaseEndsAt}`).join();
    if ((this.#told.get(node) ?? '') === text) {
      return;
    }
    const sent = this.#send(
      node,
      looks.map((look) => this.#orderOf(look)),
    );
    this.#note(node, looks, sent);
    if (sent && looks.length > 0) {
      this.#told.set(node, text);
    } else {
      this.#told.delete(node);
    }
  }

  /** Nodes that are asked have a part in the look; those that are not any more are away. */
  #note(node: string, asked: readonly LiveLook[], sent: boolean): void {
    for (const look of this.#services.looks.running()) {
      if (asked.includes(look)) {
        const share = look.share(node);
        if (!sent) {
          share.set('away', 'its agent is not connected');
        } else if (share.state === 'away') {
          share.set('asked');
        }
      } else if (look.shares.has(node)) {
        look.share(node).set('away', 'its interfaces are not on this node any more');
      }
      look.tell();
    }
  }

  #orderOf(look: LiveLook): LookOrder {
    const { interfaces, words, fates, payload, packetRate } = look.request;
    const nodes = this.#nodesOf(look).length;
    return {
      id: look.id,
      of: look.policyUid === undefined ? { interfaces: interfaces! } : { policy: look.policyUid },
      words,
      ...(fates && { fates }),
      payload,
      packetRate: Math.max(1, Math.min(packetRate, Math.floor((packetRate * NODES_AT_FULL_RATE) / nodes))),
      leaseMs: look.leaseLeftMs,
    };
  }

  #nodesOf(look: LiveLook): string[] {
    return nodesOf(look.subjects, this.#services.inventory);
  }
}
