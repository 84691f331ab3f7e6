/** From looks to rows of their maps and programs at hooks. Pure. */
import type { Hook, LookEntry } from '../datapath.ts';
import { encodeArrivalKey, encodeCaptureKey, u32Key } from './layout.ts';
import { type Attachment, PROGRAMS } from './links.ts';
import { encodeLook, encodeLookGuest, encodeLookHook, type HookSets, type LookSlot, PLACE } from './look-layout.ts';

/** What is to be attached for looks, by their ids. */
interface LookAttachment {
  attachment: Attachment;
  looks: string[];
}

/** @param slots of the looks, by id */
export function buildLooks(looks: readonly LookEntry[], slots: ReadonlyMap<string, LookSlot>) {
  const hooks = new Map<string, HookSets & { ifindex: number; hook: Hook; ids: Set<string> }>();
  const at = (ifindex: number, hook: Hook) => {
    const key = encodeCaptureKey(ifindex, hook).toString('hex');
    const sets = hooks.get(key) ?? { ifindex, hook, own: 0, place: 0, entering: 0, bridge: 0, ids: new Set() };
    hooks.set(key, sets);
    return sets;
  };
  const guests = new Map<string, { looks: number; ifindex: number }>();
  for (const { id, hooks: own, ports = [], guests: addresses = [] } of looks) {
    const bit = 1 << slots.get(id)!.slot;
    for (const { ifindex, hook, place } of own) {
      const sets = at(ifindex, hook);
      sets.own |= bit;
      sets.place = PLACE[place];
      sets.ids.add(id);
    }
    const devices = new Set(own.map(({ ifindex }) => ifindex));
    for (const { ifindex, hook, bridge } of ports) {
      const sets = at(ifindex, hook);
      // What a guest sends does not come back to it, so behind its port only others can be meant.
      const others = ports.some(
        (port) => port.bridge === bridge && port.ifindex !== ifindex && devices.has(port.ifindex),
      );
      sets.entering |= others ? bit : 0;
      sets.bridge = bridge;
      sets.ids.add(id);
    }
    for (const { bridge, mac, ifindex } of addresses) {
      const key = encodeArrivalKey(bridge, mac).toString('hex');
      guests.set(key, { looks: (guests.get(key)?.looks ?? 0) | bit, ifindex });
    }
  }
  return {
    rows: {
      looks: new Map(
        looks.map((look) => [
          u32Key(slots.get(look.id)!.slot).toString('hex'),
          encodeLook(look, slots.get(look.id)!.serial),
        ]),
      ),
      lookHooks: new Map([...hooks].map(([key, sets]) => [key, encodeLookHook(sets)])),
      lookGuests: new Map([...guests].map(([key, guest]) => [key, encodeLookGuest(guest)])),
    },
    attachments: [...hooks.values()].map(({ ifindex, hook, ids }): LookAttachment => {
      const program = hook === 'ingress' ? PROGRAMS.watchIngress : PROGRAMS.watchEgress;
      return { attachment: { ifindex, hook, program }, looks: [...ids] };
    }),
  };
}
