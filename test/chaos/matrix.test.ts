/**
 * The fault matrix: every fault at every moment of an attempt. All applications are back 5 s after the lease's end at the latest, only
 * what was running is started, nothing better is said than was true, and the next attempt works. Printed with a figure per cell.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanUp, type Leaf, makeLeaf } from '../contract/controller-agent.ts';
import { type Played, playCell } from './matrix/cell.ts';
import { FAULTS, type FaultOf, senseless } from './matrix/faults.ts';
import { type Guest, makeGuest } from './matrix/guest.ts';
import { MOMENT_NAMES, type Moment } from './matrix/moments.ts';
import { inSeconds, renderMatrix } from './matrix/print.ts';
import { makeQuiescedWorld } from './quiesced-world.ts';

const SOAK = process.env.FELHOM_SOAK === '1';
const ROUNDS = SOAK ? 5 : 1;
/** Between the moment and the fault. */
const delayMs = (): number => (SOAK ? Math.random() * 400 : 5);
/** At the same time: most of a cell is waiting. */
const GUESTS = 6;
const PATIENCE_MS = SOAK ? 7_200_000 : 900_000;

/** For trying a part of it: words of faults' names. */
const only = process.env.FELHOM_MATRIX?.split(';');
const rows = FAULTS.filter(({ name }) => only === undefined || only.some((word) => name.includes(word))).map((fault) => ({
  fault,
  lacks: fault.lacks?.() ?? null,
}));

const keyOf = ({ name }: FaultOf, moment: Moment): string => `${name}, ${moment}`;
const results = new Map<string, Promise<Played>>();
const figures = new Map<string, string>();

const playRounds = async (guest: Guest, fault: FaultOf, moment: Moment): Promise<Played> => {
  const played: Played[] = [];
  for (let round = 0; round < ROUNDS; round++) played.push(await playCell(guest, fault, moment, delayMs()));
  return {
    backMs: Math.max(...played.map(({ backMs }) => backMs)),
    pastDeadlineMs: Math.max(...played.map(({ pastDeadlineMs }) => pastDeadlineMs ?? Number.NEGATIVE_INFINITY)),
    broken: played.flatMap(({ broken }) => broken),
  };
};

/** The cells of a fault one after another in one guest; after one that could not be played to its end the next has a fresh one. */
const playRow = async (fault: FaultOf, leaf: Leaf, turn: Promise<unknown>): Promise<void> => {
  let guest: Guest | null = null;
  const play = async (moment: Moment): Promise<Played> => {
    if (guest === null) {
      guest = await makeGuest(leaf, fault.guest);
      await guest.start();
    }
    try {
      const played = await playRounds(guest, fault, moment);
      const said = guest.said();
      return played.broken.length === 0 ? played : { ...played, broken: [...played.broken, said] };
    } catch (error) {
      const said = guest.said();
      await guest.stop();
      guest = null;
      throw new Error(`${keyOf(fault, moment)}: ${error}\n${said}`, { cause: error });
    }
  };
  let last: Promise<unknown> = turn;
  for (const moment of MOMENT_NAMES) {
    if (senseless(fault, moment) !== null) continue;
    const cell = last.then(() => play(moment));
    results.set(keyOf(fault, moment), cell);
    last = cell.catch(() => undefined);
  }
  await last;
  await (guest as Guest | null)?.stop();
};

/** So many rows at a time; the first that ends gives its place to the next. */
const createPlaces = (count: number) => {
  let free = count;
  const waiting: (() => void)[] = [];
  const turn = () => new Promise<void>((resolve) => (free > 0 ? resolve(void free--) : waiting.push(resolve)));
  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return { take: (row: (mine: Promise<void>) => Promise<void>) => row(turn()).finally(leave) };
};

beforeAll(async () => {
  // What is built for the first of them all others use.
  await makeQuiescedWorld();
  const leaf = makeLeaf();
  // Those that last begin first.
  const order = rows.filter(({ lacks }) => lacks === null).toSorted((a, b) => (b.fault.lastsMs ?? 0) - (a.fault.lastsMs ?? 0));
  const places = createPlaces(GUESTS);
  for (const { fault } of order) void places.take((turn) => playRow(fault, leaf, turn));
});

const columns = MOMENT_NAMES as readonly string[];
afterAll(async () => {
  const table = rows.map(({ fault, lacks }) => ({
    name: fault.name,
    cells: MOMENT_NAMES.map((moment) => (lacks !== null ? lacks : (figures.get(keyOf(fault, moment)) ?? '-'))),
  }));
  process.stdout.write(
    `\nSeconds until every application is back: after the fault, or after the point or the lease's end (whichever is first) where the fault lets nobody go.\n` +
      `${renderMatrix('', columns, table)}\n`,
  );
  await cleanUp();
});

describe.each(rows)('$fault.name', ({ fault, lacks }) => {
  for (const moment of MOMENT_NAMES) {
    if (senseless(fault, moment) !== null) continue;
    test.skipIf(lacks !== null)(
      `${moment}${lacks === null ? '' : ` (${lacks})`}`,
      async () => {
        figures.set(keyOf(fault, moment), '!');
        const { backMs, pastDeadlineMs, broken } = await (results.get(keyOf(fault, moment)) as Promise<Played>);
        figures.set(keyOf(fault, moment), `${inSeconds(backMs)}${broken.length === 0 ? '' : ' !'}`);
        expect(broken.join('\n')).toBe('');
        expect(pastDeadlineMs ?? 0).toBeLessThanOrEqual(5000);
      },
      PATIENCE_MS,
    );
  }
});
