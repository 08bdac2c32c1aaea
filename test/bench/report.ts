/** The table for people and the document for programs. Pure but for what it reads of the machine. */
import { cpus, loadavg, release } from 'node:os';
import { type Budget, type Figure, keeps } from './figure.ts';

export interface Outcome {
  measure: string;
  seconds: number;
  figures: Figure[];
  /** Why it could not be measured; empty otherwise. */
  failed: string;
}

const shown = (value: number): string => {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
};
const shownBudget = (budget: Budget | undefined): string =>
  budget === undefined ? '' : `${budget.sense === 'at most' ? '≤' : '≥'} ${budget.limit}`;
const shownVerdict = (figure: Figure): string => {
  const kept = keeps(figure);
  return kept === null ? '' : kept ? 'ok' : 'MISSED';
};

const HEADER = ['', 'value', 'unit', 'budget', '', ''];
/** Columns of numbers end at the same place. */
const RIGHT = [false, true, false, true, false, false];

export const table = (figures: readonly Figure[]): string => {
  const rows = [
    HEADER,
    ...figures.map((one) => [one.name, shown(one.value), one.unit, shownBudget(one.budget), shownVerdict(one), one.note ?? '']),
  ];
  const widths = HEADER.map((_title, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, column: number) =>
    RIGHT[column] ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
};

export const machine = () => ({
  node: process.version,
  kernel: release(),
  cpu: cpus()[0]?.model ?? '',
  cores: cpus().length,
  load_average: loadavg()[0] ?? null,
});

export const document = (
  outcomes: readonly Outcome[],
  facts: { date: string; quick: boolean; machine: ReturnType<typeof machine> },
): object => ({
  ...facts,
  figures: outcomes.flatMap(({ measure, figures }) => figures.map((one) => ({ measure, ...one, ok: keeps(one) }))),
  measures: outcomes.map(({ measure, seconds, failed }) => ({ measure, seconds: Math.round(seconds), failed })),
});
