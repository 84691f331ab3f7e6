/** A node that is only what its agent says: the messages, and the end of its connection. */
import { EventEmitter } from 'node:events';
import {
  type CountersMessage,
  CounterWriter,
  captureId,
  erspanDeliveryId,
  localDeliveryId,
  type ProgramDifferenceMessage,
  terminationId,
  ZERO,
} from '@mirrorplane/contract';
import {
  destinationId,
  destinationNode,
  nodeName,
  nodesOf,
  policyUid,
  poolOf,
  type Size,
  sourceId,
} from '../scale/names.ts';

const OPEN = 1;
const CLOSED = 3;
const FIRST_IFINDEX = 10;
/** Packets between two reports of a source, and bytes of each. */
const RATE = { packets: 20, bytes: 500 };

export class ReportingNode extends EventEmitter {
  readonly OPEN = OPEN;
  readonly bufferedAmount = 0;
  readyState: number = OPEN;
  readonly name: string;
  /** Bytes that it was sent. */
  received = 0;
  readonly #number: number;
  readonly #size: Size;
  readonly #numbers = new CounterWriter();
  /** How the controller wants reports. */
  #asked: { numbers?: true } = {};
  #isFirst = true;
  /** Interfaces by ifindex. */
  readonly #devices = new Map<number, string>();
  #nextIfindex = FIRST_IFINDEX;
  #sent = 0;
  #applied = 0;
  #reports = 0;

  constructor(number: number, size: Size) {
    super();
    this.#number = number;
    this.#size = size;
    this.name = nodeName(number);
    for (let source = 1; source <= size.interfaces; source++) {
      this.add(sourceId(number, source));
    }
    for (const policy of this.#arriving()) {
      this.add(destinationId(policy));
    }
  }

  /** Whether it was sent another program than it has confirmed. */
  get isBehind(): boolean {
    return this.#sent !== this.#applied;
  }

  add(id: string): void {
    this.#devices.set(this.#nextIfindex++, id);
  }

  remove(id: string): void {
    const found = [...this.#devices].find(([, other]) => other === id);
    this.#devices.delete(found?.[0] ?? 0);
  }

  hello(): void {
    const underlay = this.#underlay();
    const appliedRevision = this.#applied === 0 ? undefined : this.#applied;
    this.#say({
      type: 'hello',
      protocol: 1,
      node: this.name,
      agentVersion: '0.1.0',
      kernel: '6.12.0',
      underlay,
      appliedRevision,
      differences: true,
      takesDifferences: true,
      ...(!process.env.ROWS && { numbers: true }),
    });
  }

  /** All its devices. */
  inventory(): void {
    const devices = [...this.#devices].map(([ifindex, id]) => {
      const mac = `02:00:00:${[this.#number, ifindex >> 8, ifindex].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}`;
      const identity = { id, kind: 'vm', name: id, provider: 'alias' };
      return { name: `tap${ifindex}`, ifindex, mac, mtu: 1500, up: true, linkType: 'tun', identity };
    });
    this.#say({ type: 'inventory', underlay: this.#underlay(), devices });
  }

  /** It confirms what it was sent last. */
  status(): void {
    this.#applied = this.#sent;
    const captures = this.#captured().map(([ifindex, id]) => ({
      ...{ capture: captureId(policyUid(homeOf(id)), id), device: `tap${ifindex}`, state: 'capturing' },
    }));
    this.#say({ type: 'status', appliedRevision: this.#applied, captures, problems: [] });
  }

  /** All its counters, which have grown since the last time. */
  counters(): void {
    this.deliver(Buffer.from(this.countersText()));
  }

  /** A message of the node comes. */
  deliver(text: Buffer): void {
    this.emit('message', text, false);
  }

  /** The message with all its counters, which have grown since the last time. */
  countersText(): string {
    const packets = RATE.packets * ++this.#reports;
    const count = { packets, bytes: packets * RATE.bytes };
    const counts = { matched: count, sampledOut: ZERO, copied: count, truncated: ZERO, dropped: {}, skipped: {} };
    const captures = this.#captured().flatMap(([, id]) => {
      const rest = { policy: policyUid(homeOf(id)), source: id, counts };
      return [
        { ...rest, direction: 'inbound' },
        { ...rest, direction: 'outbound' },
      ];
    });
    const sum = { packets: 2 * this.#size.interfaces * packets, bytes: 2 * this.#size.interfaces * count.bytes };
    const own = policyUid(this.#number);
    const to = nodeName(destinationNode(this.#number, this.#size));
    const arriving = this.#arriving();
    const others = this.#isFirst ? this.#others() : [];
    this.#isFirst = false;
    const report = {
      epoch: 'measured',
      captures,
      deliveries: [{ delivery: erspanDeliveryId(own, to), policy: own, sent: sum }, ...others],
      terminations: arriving.map((from) => ({
        termination: terminationId(policyUid(from), nodeName(from)),
        ...{ policy: policyUid(from), node: nodeName(from), received: sum, delivered: sum, relayed: ZERO },
        ...{ dropped: {}, missing: ZERO, late: ZERO },
      })),
      peers: [],
      unknownErspan: 0,
    };
    const traffic = {
      devices: [...this.#devices.keys()].map((ifindex) => ({ ifindex, inbound: count, outbound: count, unread: 0 })),
      uplinks: [{ device: 'eth0', ifindex: 2, bytesPerSecond: 1.25e9, throttled: false }],
    };
    const reading = { run: this.name, readAt: this.#reports * 5000 };
    const message = { type: 'counters', reading, report, traffic } as unknown as CountersMessage;
    return JSON.stringify(this.#asked.numbers ? this.#numbers.write(message) : message);
  }

  send(text: string): void {
    this.received += text.length;
    if (text.startsWith('{"type":"reporting"')) {
      this.#asked = JSON.parse(text);
    }
    if (text.startsWith('{"type":"programDifference"')) {
      this.#sent = (JSON.parse(text) as ProgramDifferenceMessage).difference.result.revision;
    } else if (text.startsWith('{"type":"program"')) {
      this.#sent = Number(/"revision":(\d+)/.exec(text.slice(0, text.indexOf('"captures"')))?.[1]);
    }
  }

  ping(): void {
    this.emit('pong');
  }

  pause(): void {}

  resume(): void {}

  terminate(): void {}

  /** @param code undefined: the node ends it */
  close(code?: number, reason?: string): void {
    if (this.readyState === OPEN) {
      this.readyState = CLOSED;
      this.emit('close');
      if (code !== undefined) {
        throw new Error(`the controller ends the connection of ${this.name}: ${code} ${reason}`);
      }
    }
  }

  #say(message: object): void {
    this.deliver(Buffer.from(JSON.stringify(message)));
  }

  #underlay() {
    return {
      device: 'eth0',
      address: `10.${this.#number >> 16}.${(this.#number >> 8) & 255}.${this.#number & 255}`,
      mtu: 1600,
      proves: true,
    };
  }

  #captured(): [ifindex: number, id: string][] {
    return [...this.#devices].filter(([, id]) => id.startsWith('vm-'));
  }

  /** Deliveries that nothing leaves by: a node has one for each policy of its pool. */
  #others() {
    const { first, last } = nodesOf(poolOf(this.#number), this.#size);
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return all.flatMap((other) => {
      const [policy, node] = [policyUid(other), destinationNode(other, this.#size)];
      const delivery = node === this.#number ? localDeliveryId(policy) : erspanDeliveryId(policy, nodeName(node));
      return other === this.#number ? [] : [{ delivery, policy, sent: ZERO }];
    });
  }

  /** Numbers of the policies whose destination is here. */
  #arriving(): number[] {
    const { first, last } = nodesOf(poolOf(this.#number), this.#size);
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return all.filter((other) => destinationNode(other, this.#size) === this.#number);
  }
}

/** The number of the node where an interface has begun. */
function homeOf(id: string): number {
  return Number(id.split('-')[1]);
}
