/**
 * The intended state at every moment, and the exceptions. The oracle judges a frame by it: exactly
 * if nothing was changing, and otherwise by everything that a world before or after the change
 * allows.
 */
import { isClaimed, isCutOff, nodeOf, type Spec, type World } from './world.ts';

interface Span {
  from: number;
  to: number;
}

/** A world that is in force, or is about to be. */
interface WorldSpan extends Span {
  world: World;
}

/** Copies that may be missing for a while. */
export interface Doubt {
  reason: string;
  /** True if copies of this policy and source may be missing. */
  touches(spec: Spec, source: string): boolean;
}

/** Originals that may be lost or flooded, because the step removes their wire. */
export interface Excuse {
  reason: string;
  hosts: string[];
}

/** A node to which the fabric lets no ERSPAN through. */
interface CutSpan extends Span {
  node: string;
}

/** What the status has said of a policy: that it is in force as wanted. */
interface ConfirmedSpan extends Span {
  spec: Spec;
}

/**
 * Milliseconds around a change in which a frame may have met either side of it: clocks of captures,
 * frames under way.
 */
const MARGIN_MS = 250;
const OPEN = Number.POSITIVE_INFINITY;

const meets = (span: Span, at: number) => span.from - MARGIN_MS <= at && at <= span.to + MARGIN_MS;

export class Timeline {
  readonly #worlds: WorldSpan[];
  readonly #doubts: (Span & Doubt)[] = [];
  readonly #excuses: (Span & Excuse)[] = [];
  readonly #cuts: CutSpan[] = [];
  readonly #confirmed: ConfirmedSpan[] = [];

  constructor(world: World, now: number) {
    this.#worlds = [{ from: now, to: OPEN, world: structuredClone(world) }];
  }

  /** From now on the world may be this one; the one before is possible until the next `settle`. */
  change(world: World, now: number): void {
    this.#worlds.push({ from: now, to: OPEN, world: structuredClone(world) });
  }

  /** Opens a doubt, which the next `settle` ends. */
  doubt(doubt: Doubt, now: number): void {
    this.#doubts.push({ ...doubt, from: now, to: OPEN });
  }

  /** Opens an excuse. Returns what ends it. */
  excuse(excuse: Excuse, now: number): (now: number) => void {
    const span = { ...excuse, from: now, to: OPEN };
    this.#excuses.push(span);
    return (end) => {
      span.to = end;
    };
  }

  /** Everything has its intended state. From `now` on, no earlier state is allowed. */
  settle(now: number): void {
    for (const span of this.#worlds.slice(0, -1)) {
      span.to = Math.min(span.to, now);
    }
    for (const span of this.#doubts) {
      span.to = Math.min(span.to, now);
    }
  }

  /** From now on the fabric lets no ERSPAN through to a node. Returns what ends it. */
  cut(node: string, now: number): (now: number) => void {
    const span = { node, from: now, to: OPEN };
    this.#cuts.push(span);
    return (end) => {
      span.to = end;
    };
  }

  /** The status has said at both moments that a policy is in force as it was last meant to be. */
  confirm(name: string, from: number, to: number): void {
    const spec = this.#worlds.at(-1)!.world.policies[name];
    if (spec) {
      this.#confirmed.push({ spec, from, to });
    }
  }

  /**
   * The worlds that a frame of this moment may have met, with those policies in it that the status
   * said are in force.
   */
  worlds(at: number): World[] {
    const sure = this.#confirmed.filter(({ from, to }) => from + MARGIN_MS <= at && at <= to - MARGIN_MS);
    const policies = Object.fromEntries(sure.map(({ spec }) => [spec.name, spec]));
    const worlds = this.#worlds.filter((span) => meets(span, at)).map(({ world }) => world);
    if (sure.length === 0) {
      return worlds;
    }
    return worlds.map((world) => ({ ...world, policies: { ...world.policies, ...policies } }));
  }

  /** Copies of a source may be lost in the fabric at this moment. */
  isCutOff(world: World, spec: Spec, source: string, at: number): boolean {
    const cut = this.#cuts.filter((span) => meets(span, at)).map(({ node }) => node);
    return isCutOff({ ...world, cut }, spec, source);
  }

  /** Why copies of a source may be missing at this moment; undefined where they may not. */
  doubtAbout(spec: Spec, source: string, at: number): string | undefined {
    return this.#doubts.find((span) => meets(span, at) && span.touches(spec, source))?.reason;
  }

  /**
   * Why the originals from or to one of these hosts may be lost at this moment; undefined where
   * they may not.
   */
  excuseFor(hosts: readonly string[], at: number): string | undefined {
    return this.#excuses.find((span) => meets(span, at) && span.hosts.some((host) => hosts.includes(host)))?.reason;
  }

  /** True where some original was excused between two moments. */
  hasExcuse(from: number, to: number): boolean {
    return this.#excuses.some((span) => span.from - MARGIN_MS <= to && from <= span.to + MARGIN_MS);
  }

  /**
   * True where a policy stayed the same from one moment to another, and so did all that its copies
   * of a source need.
   */
  isSteady(name: string, source: string, from: number, to: number): boolean {
    const during = (span: Span) => span.from - MARGIN_MS <= to && from <= span.to + MARGIN_MS;
    const worlds = this.#worlds.filter(during).map(({ world }) => world);
    const pictures = new Set(worlds.map((world) => JSON.stringify(picture(world, name, source))));
    const spec = worlds[0]?.policies[name];
    if (spec === undefined || pictures.size !== 1) {
      return false;
    }
    const hosts = [source, spec.destination].map((id) => id.replace(/\/0$/, ''));
    return (
      !this.#doubts.some((span) => during(span) && span.touches(spec, source)) &&
      !this.#excuses.some((span) => during(span) && span.hosts.some((host) => hosts.includes(host)))
    );
  }

  /** Forgets what was before `now`, which nothing is judged by any more. */
  forget(now: number): void {
    for (const list of [this.#worlds, this.#doubts, this.#excuses, this.#cuts, this.#confirmed] as Span[][]) {
      for (let i = list.length - 1; i >= 0; i--) {
        if (list[i]!.to + MARGIN_MS < now) {
          list.splice(i, 1);
        }
      }
    }
  }
}

function picture(world: World, name: string, source: string) {
  const spec = world.policies[name];
  if (!spec) {
    return undefined;
  }
  // The device of a second claimant is captured like that of a guest on its way, for up to five
  // seconds (ADR 0034).
  const places = [nodeOf(world, source), nodeOf(world, spec.destination)];
  return [spec, places, world.edges, isCutOff(world, spec, source), isClaimed(world, source)];
}
