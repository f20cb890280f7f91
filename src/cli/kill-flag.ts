/**
 * `--kill VICTIM@WHEN`: what strikes whom.
 *
 * ```
 * VICTIM   driver-vm            the driver VM of the first host
 *          driver-vm:h1         the driver VM of host h1
 *          guest:1, guest:g1    a guest
 * WHEN     50%                  when so much of the victim's requests were issued
 *          2s                   that long after the start of the run
 *          POINT or POINT:100   where it passes a crash point, for the first or the 100th time
 *          flush-submitted:3    at the third such protocol event of the victim's guests
 *          event:500            instead of its 500th event; only in the simulator
 * ```
 */
import { UsageError } from '../base/errors.ts';
import { parseDuration, parsePercent } from '../base/parse-units.ts';
import { CRASH_POINTS, type Fault, PROTOCOL_EVENTS, type Trigger } from '../world/faults.ts';
import { unknownName } from './flags.ts';

const FORM = 'VICTIM@WHEN, as driver-vm@50%, driver-vm:h1@2s or guest:1@30%';

export interface Victims {
  readonly hosts: readonly string[];
  readonly guests: readonly string[];
}

/** Reads one `--kill`. Whom it can strike is known only when all flags are. */
export function parseKill(text: string, victims: Victims): Fault {
  const at = text.indexOf('@');
  if (at < 1 || at === text.length - 1) {
    throw new UsageError(
      'E_KILL',
      `--kill: ${JSON.stringify(text)} does not say whom and when; expected ${FORM}`,
      { fields: { given: text } },
    );
  }
  const [kind, ...rest] = text.slice(0, at).split(':');
  const who = rest.join(':');
  const when = text.slice(at + 1);
  if (kind === 'driver-vm') {
    const host = who === '' ? (victims.hosts[0] as string) : named(who, victims.hosts, 'host');
    return { kind: 'kill-driver', host, when: parseTrigger(when, 'back.') };
  }
  if (kind === 'guest') {
    const name = /^\d+$/.test(who) ? `g${who}` : who;
    const guest = named(name, victims.guests, 'guest');
    return { kind: 'kill-guest', guest, when: parseTrigger(when, 'front.') };
  }
  throw unknownName('--kill', kind ?? '', ['driver-vm', 'guest']);
}

function named(name: string, names: readonly string[], what: string): string {
  if (names.includes(name)) return name;
  throw unknownName(`--kill: the ${what}`, name, names);
}

function parseTrigger(text: string, side: 'back.' | 'front.'): Trigger {
  if (text.endsWith('%')) return { kind: 'progress', share: parsePercent(text, '--kill') };
  const [name, count] = text.split(':');
  if (name === 'event') return { kind: 'event', nth: parseCount(count, text) };
  if (name !== undefined && /^[a-z].*\./.test(name)) {
    const points = CRASH_POINTS.filter((one) => one.startsWith(side));
    const point = points.find((one) => one === name);
    if (point === undefined) throw unknownName('--kill: the crash point', name, points);
    return { kind: 'crash-point', point, nth: count === undefined ? 1 : parseCount(count, text) };
  }
  if (name !== undefined && /^[a-z]+-/.test(name)) {
    const event = PROTOCOL_EVENTS.find((one) => one === name);
    if (event === undefined) throw unknownName('--kill: the event', name, PROTOCOL_EVENTS);
    return { kind: 'protocol', event, nth: count === undefined ? 1 : parseCount(count, text) };
  }
  return { kind: 'time', atNs: parseDuration(text, '--kill') };
}

function parseCount(text: string | undefined, whole: string): number {
  const count = Number(text);
  if (text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(count) && count >= 1) {
    return count;
  }
  throw new UsageError(
    'E_KILL',
    `--kill: ${JSON.stringify(whole)} does not say the how manieth time; expected a whole number ` +
      'above 0 behind the colon, as event:500 or flush-submitted:3',
    { fields: { given: whole } },
  );
}
