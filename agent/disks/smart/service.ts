/** Every drive's own word on its health: asked at most once an hour, never by waking one, and the newest whole answer kept with its age. */
import type { Clock } from '#shared/clock';
import type { Problems } from '../../health/problems.ts';
import type { Smartctl } from '../../ports/smartctl.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import { createTurn, type InTurn } from '../../turn.ts';
import { documentIn } from './document.ts';
import { type Failing, failingProblem, type Judged, nextFailing } from './failing.ts';
import { type SmartReading, smartReading } from './parse.ts';
import { createReader, type Read } from './reader.ts';
import { isStandby } from './silence.ts';
import {
  ageOf,
  askable,
  dueOf,
  keptText,
  maySleep,
  newlyWatched,
  replaces,
  restored,
  seenNow,
  type Watched,
  whyNotAskable,
} from './watched.ts';

export interface SmartState extends SmartReading {
  /** Of the newest whole reading; null before the first. */
  ageMs: number | null;
}

export interface SmartPorts {
  clock: Clock;
  smartctl: Smartctl;
  problems: Pick<Problems, 'raise' | 'clear'>;
  /** Of this boot: with it a plugging in has a name that no other has. */
  bootId: string;
  /** What was kept of a drive; null where nothing is known of it, or not yet. */
  kept: (device: KernelDevice) => string | null;
  /** Keeps it over a restart. */
  keep: (device: KernelDevice, text: string) => Promise<void>;
}

export interface Smart {
  /** Asks those whose time has come, one after the other. Never rejects. @param devices every drive that is plugged in */
  tick(devices: readonly KernelDevice[]): Promise<void>;
  /** At once, by kernel name. */
  of(name: string): SmartState;
  /** Whether reading it would wake it: of the last minute, or asked now within 5 s. */
  isAsleep(device: KernelDevice): Promise<boolean>;
  /** Somebody woke it on purpose: it is left alone for a while. */
  woken(name: string): void;
  /** Drives whose smartctl does not end. */
  notAnswering(): ReadonlySet<string>;
}

const SEEN_MS = 60_000;

const SILENCE = {
  hung: 'The drive does not answer smartctl.',
  missing: 'There is no smartctl on this host (package smartmontools).',
  failed: 'smartctl could not be run.',
} as const;

const UNASKED: SmartReading = { ...smartReading({}), reasons: ['The drive has not been asked yet.'] };

/** Of a drive that nobody has asked. */
export const notAsked = (): SmartState => ({ ...UNASKED, ageMs: null });

const stateOf = (watched: Watched, wall: number): SmartState => {
  const { kept, note, seen } = watched;
  const standby = seen?.asleep === true;
  if (kept === null) return { ...UNASKED, standby, reasons: note.length > 0 ? [...note] : UNASKED.reasons, ageMs: null };
  return { ...kept.reading, standby, reasons: [...new Set([...kept.reading.reasons, ...note])], ageMs: ageOf(kept, wall) };
};

/** What a reading that ended changes. */
const after = (watched: Watched, { type, mute, outcome }: Read, { now, wall }: { now: number; wall: number }): Watched => {
  const learned = { ...watched, type, mute, hung: 'silent' in outcome && outcome.silent === 'hung' ? ('read' as const) : null };
  if ('silent' in outcome) return { ...learned, note: [SILENCE[outcome.silent]] };
  const { reading } = outcome;
  const seen = seenNow(learned, reading.standby, now);
  if (!reading.standby && replaces(reading, watched.kept)) return { ...seen, kept: { reading, at: wall }, note: [] };
  return { ...seen, note: reading.reasons };
};

export const createSmart = ({ clock, smartctl, problems, bootId, kept, keep }: SmartPorts): Smart => {
  const read = createReader(smartctl);
  let watched: ReadonlyMap<string, Watched> = new Map();
  let present: readonly KernelDevice[] = [];
  let failing: Failing = new Map();
  let running: Promise<void> | undefined;
  const turns = new Map<string, InTurn>();

  const times = () => ({ now: clock.monotonic(), wall: clock.now() });
  const plugOf = ({ name, diskseq }: KernelDevice): string => `${bootId}/${diskseq ?? name}`;

  const watchedOf = (device: KernelDevice): Watched => {
    const known = watched.get(device.name);
    const current = known?.plug === plugOf(device) ? known : newlyWatched(device.name, plugOf(device));
    const text = current.kept === null ? kept(device) : null;
    return text === null ? current : restored(current, text, times());
  };

  const put = (next: Watched): void => {
    watched = new Map(watched).set(next.name, next);
  };

  /** What changed meanwhile stays: a drive that was pulled out and another that took its name are not mixed up. */
  const change = (device: KernelDevice, how: (before: Watched) => Watched): void => {
    const before = watched.get(device.name);
    if (before?.plug === plugOf(device)) put(how(before));
  };

  const inTurn = (device: KernelDevice): InTurn => {
    const plug = plugOf(device);
    const turn = turns.get(plug) ?? createTurn();
    turns.set(plug, turn);
    return turn;
  };

  const readNow = async (device: KernelDevice): Promise<void> => {
    const asked = watchedOf(device);
    put({ ...asked, askedAt: clock.monotonic() });
    const result = await read(device, asked);
    change(device, (before) => after(before, result, times()));
    const now = watched.get(device.name);
    if (now?.kept && now.kept !== asked.kept && now.plug === asked.plug) await keep(device, keptText(now));
  };

  /** Without an answer nothing is learned but that there was none. */
  const lookNow = async (device: KernelDevice): Promise<void> => {
    const answer = await smartctl.power({ path: `/dev/${device.name}`, type: watchedOf(device).type });
    const now = clock.monotonic();
    change(device, (before) => {
      if (answer.said) return { ...seenNow(before, isStandby(documentIn(answer.text)), now), hung: null };
      return answer.why === 'hung' ? { ...before, hung: 'look', askedAt: now, note: [SILENCE.hung] } : before;
    });
  };

  const isJudged = ({ name, suspended }: KernelDevice): boolean => {
    const known = watched.get(name);
    return !askable(name) || suspended || (known !== undefined && (known.askedAt !== null || known.kept !== null));
  };

  const judge = (): void => {
    const drives = present.map(
      (device): Judged => ({
        plug: plugOf(device),
        name: device.name,
        reading: watched.get(device.name)?.kept?.reading ?? null,
      }),
    );
    failing = nextFailing(failing, drives, clock.monotonic());
    const problem = failingProblem(failing, drives);
    if (problem !== null) problems.raise(problem);
    // Until every drive was asked, or what was kept of it is there, a failing one may be among them.
    else if (present.every(isJudged)) problems.clear('drive-failing', null);
  };

  const act = async (device: KernelDevice): Promise<void> => {
    const due = () => dueOf(watchedOf(device), device, clock.monotonic());
    if (due() === 'nothing') return;
    await inTurn(device)(async () => {
      const what = due();
      if (what === 'read') await readNow(device);
      else if (what === 'look') await lookNow(device);
    }).catch(() => undefined);
  };

  const round = async (): Promise<void> => {
    const names = new Set(present.map(({ name }) => name));
    watched = new Map([...watched].filter(([name]) => names.has(name)));
    const plugs = new Set(present.map(plugOf));
    for (const plug of turns.keys()) if (!plugs.has(plug)) turns.delete(plug);
    for (const device of present) put(watchedOf(device));
    judge();
    for (const device of present) await act(device);
    judge();
  };

  return {
    tick: (devices) => {
      present = devices;
      running ??= round().finally(() => {
        running = undefined;
      });
      return running;
    },

    of: (name) => {
      const device = present.find((one) => one.name === name);
      if (device !== undefined && !askable(name)) return { ...UNASKED, reasons: [whyNotAskable(device)], ageMs: null };
      const known = watched.get(name);
      if (known === undefined) return notAsked();
      const state = stateOf(known, clock.now());
      return device?.suspended === true ? { ...state, standby: true } : state;
    },

    isAsleep: async (device) => {
      if (device.suspended) return true;
      if (!maySleep(device)) return false;
      const recent = () => {
        const { seen, hung, mute } = watchedOf(device);
        if (hung !== null || mute) return false;
        return seen !== null && clock.monotonic() - seen.at < SEEN_MS ? seen.asleep : null;
      };
      const known = recent();
      if (known !== null) return known;
      put(watchedOf(device));
      await inTurn(device)(async () => (recent() === null ? lookNow(device) : undefined)).catch(() => undefined);
      return recent() ?? false;
    },

    woken: (name) => {
      const known = watched.get(name);
      if (known !== undefined) put({ ...known, seen: { asleep: false, at: clock.monotonic() }, awakeSince: clock.monotonic() });
    },

    notAnswering: () => new Set([...watched.values()].filter(({ hung }) => hung !== null).map(({ name }) => name)),
  };
};
