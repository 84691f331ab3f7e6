/**
 * Capture words: which packets a look asks for. A subset of pcap-filter(7): `host net port tcp udp
 * icmp icmp6 arp ip ip6 vlan`, `src` and `dst`, `and or not`, brackets. As there, `and` and `or`
 * bind alike, from left to right, and `not` binds most. One thing differs: all words look behind
 * VLAN tags, so `tcp` finds tagged TCP too, and `vlan` moves nothing.
 */
import { addressOf, familyOf, masked, parseNet } from './ip-nets.ts';
import { LOOK_LIMITS } from './look-limits.ts';

/** What is compared. Addresses have 16 bytes; IPv4 has the first four of them. */
export type WordsTest =
  | { kind: 'ethertype'; number: number }
  /** In frames of `ethertype` alone, where there is one. */
  | { kind: 'protocol'; number: number; ethertype?: number }
  /** IPv4 is looked for in ARP too. */
  | { kind: 'address'; family: 4 | 6; sides: WordsSides; address: Uint8Array; mask: Uint8Array }
  /** Of TCP, UDP and SCTP, or of one of them. */
  | { kind: 'port'; number: number; protocol?: number; sides: WordsSides }
  /** The outermost tag; without `number` any. */
  | { kind: 'vlan'; number?: number };

/** Which end of a packet: its source, its target, or any of the two. */
export type WordsSides = 'src' | 'dst' | 'any';

/** Number of the next comparison, always a later one, or whether the packet is asked for. */
export type WordsNext = number | boolean;

/** Comparisons in the order in which they are made. */
export interface CompiledWords {
  /** True: there are no words, and every packet is asked for. */
  first: WordsNext;
  comparisons: readonly { test: WordsTest; yes: WordsNext; no: WordsNext }[];
}

/**
 * Words that cannot be carried out. The message names the word, its position from 1 on, and what to
 * write.
 */
export class WordsError extends Error {
  /** Characters before the word. */
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.name = 'WordsError';
    this.position = position;
  }
}

/** @throws WordsError */
export function compileWords(text: string): CompiledWords {
  if (text.length > LOOK_LIMITS.words) {
    throw new WordsError(`the words have ${text.length} characters; at most ${LOOK_LIMITS.words} are allowed`, 0);
  }
  const parser = new Parser(text);
  if (parser.isAtEnd) {
    return { first: true, comparisons: [] };
  }
  const node = parser.all();
  const made: Made[] = [];
  const first = make(node, { made, yes: true, no: false });
  const { comparisons } = LOOK_LIMITS;
  if (made.length > comparisons) {
    throw new WordsError(`the words come to ${made.length} comparisons; at most ${comparisons} are allowed`, 0);
  }
  // They were made from the last to the first.
  const turned = (next: WordsNext) => (typeof next === 'number' ? made.length - 1 - next : next);
  return {
    first: turned(first),
    comparisons: made.map(({ test, yes, no }) => ({ test, yes: turned(yes), no: turned(no) })).reverse(),
  };
}

type Node = { test: WordsTest } | { not: Node } | { join: 'and' | 'or'; left: Node; right: Node };
type Made = { test: WordsTest; yes: WordsNext; no: WordsNext };

/** Makes the comparisons of a node, given where to go on. Returns the number of its first. */
function make(node: Node, { made, yes, no }: { made: Made[]; yes: WordsNext; no: WordsNext }): WordsNext {
  if ('test' in node) {
    made.push({ test: node.test, yes, no });
    return made.length - 1;
  }
  if ('not' in node) {
    return make(node.not, { made, yes: no, no: yes });
  }
  const right = make(node.right, { made, yes, no });
  return make(node.left, node.join === 'and' ? { made, yes: right, no } : { made, yes, no: right });
}

interface Token {
  word: string;
  position: number;
}

const TCP = 6;
const UDP = 17;
const IPV4 = 0x0800;

/** Words that stand for themselves. */
const ALONE: ReadonlyMap<string, WordsTest> = new Map<string, WordsTest>([
  ['tcp', { kind: 'protocol', number: TCP }],
  ['udp', { kind: 'protocol', number: UDP }],
  ['icmp', { kind: 'protocol', number: 1, ethertype: IPV4 }],
  ['icmp6', { kind: 'protocol', number: 58, ethertype: 0x86dd }],
  ['arp', { kind: 'ethertype', number: 0x0806 }],
  ['ip', { kind: 'ethertype', number: IPV4 }],
  ['ip6', { kind: 'ethertype', number: 0x86dd }],
]);
const WITH_PORTS: ReadonlyMap<string, number> = new Map([
  ['tcp', TCP],
  ['udp', UDP],
]);
const SIDES: ReadonlyMap<string, WordsSides> = new Map([
  ['src', 'src'],
  ['dst', 'dst'],
]);
const JOINS: ReadonlyMap<string, 'and' | 'or'> = new Map([
  ['and', 'and'],
  ['&&', 'and'],
  ['or', 'or'],
  ['||', 'or'],
]);
const KNOWN = 'host, net, port, tcp, udp, icmp, icmp6, arp, ip, ip6, vlan, src, dst, and, or, not';

/** Recursive descent. Its depth is bounded by the length of the text. */
class Parser {
  readonly #tokens: Token[];
  readonly #end: number;
  #at = 0;

  constructor(text: string) {
    this.#tokens = [...text.matchAll(/\(|\)|!|&&|\|\||[^\s()!&|]+|[&|]/g)].map(({ 0: word, index }) => {
      return { word, position: index };
    });
    this.#end = text.length;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  all(): Node {
    const node = this.#joined();
    if (!this.isAtEnd) {
      const { word } = this.#peek();
      throw this.#refusal(word === ')' ? 'no bracket is open here' : 'write "and" or "or" before it');
    }
    return node;
  }

  #joined(): Node {
    let left = this.#single();
    for (let join = JOINS.get(this.#peek().word); join !== undefined; join = JOINS.get(this.#peek().word)) {
      this.#at++;
      left = { join, left, right: this.#single() };
    }
    return left;
  }

  #single(): Node {
    if (this.#takes('not') || this.#takes('!')) {
      return { not: this.#single() };
    }
    if (this.#takes('(')) {
      const inner = this.#joined();
      if (!this.#takes(')')) {
        throw this.#refusal('write ")" here');
      }
      return inner;
    }
    return { test: this.#test() };
  }

  #test(): WordsTest {
    const { word } = this.#peek();
    const alone = ALONE.get(word);
    if (alone !== undefined) {
      this.#at++;
      const protocol = WITH_PORTS.get(word);
      const next = this.#peek().word;
      return protocol !== undefined && (next === 'port' || SIDES.has(next)) ? this.#sided(protocol) : alone;
    }
    if (this.#takes('vlan')) {
      return /^\d/.test(this.#peek().word) ? { kind: 'vlan', number: this.#number('VLAN ID', 4095) } : { kind: 'vlan' };
    }
    return this.#sided();
  }

  /** `[src|dst] host|net|port VALUE`. */
  #sided(protocol?: number): WordsTest {
    const { word } = this.#peek();
    const sides = SIDES.get(word);
    if (sides !== undefined) {
      this.#at++;
    }
    if (this.#takes('port')) {
      const number = this.#number('port', 65_535);
      return { kind: 'port', number, sides: sides ?? 'any', ...(protocol !== undefined && { protocol }) };
    }
    if (protocol !== undefined) {
      throw this.#refusal('write "port" and a number here');
    }
    if (this.#takes('host')) {
      return this.#host(sides ?? 'any');
    }
    if (this.#takes('net')) {
      return this.#net(sides ?? 'any');
    }
    throw this.#refusal(this.#remedy(sides));
  }

  /** What to write instead of a word that is none. */
  #remedy(sides: WordsSides | undefined): string {
    const { word } = this.#peek();
    if (familyOf(word) !== undefined) {
      return `write "host ${word}"`;
    }
    return sides === undefined ? `write one of ${KNOWN}` : 'write "host", "net" or "port" here';
  }

  #host(sides: WordsSides): WordsTest {
    const { word } = this.#peek();
    const family = familyOf(word);
    if (family === undefined) {
      throw this.#refusal('write an IPv4 or IPv6 address here, as 10.0.0.1');
    }
    this.#at++;
    return { kind: 'address', family, sides, address: addressOf(word), mask: masked(family === 4 ? 32 : 128) };
  }

  #net(sides: WordsSides): WordsTest {
    const net = parseNet(this.#peek().word);
    if (typeof net === 'string') {
      throw this.#refusal(net);
    }
    this.#at++;
    return { kind: 'address', sides, ...net };
  }

  #number(what: string, most: number): number {
    const { word } = this.#peek();
    const number = /^\d{1,9}$/.test(word) ? Number(word) : Number.NaN;
    if (!(number <= most)) {
      throw this.#refusal(`write a ${what} from 0 to ${most} here`);
    }
    this.#at++;
    return number;
  }

  #takes(word: string): boolean {
    const taken = this.#peek().word === word;
    this.#at += taken ? 1 : 0;
    return taken;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { word: '', position: this.#end };
  }

  #refusal(remedy: string): WordsError {
    const { word, position } = this.#peek();
    const where = word === '' ? 'the words end too early' : `"${word}" at character ${position + 1} cannot stand there`;
    return new WordsError(`${where}: ${remedy}`, position);
  }
}
