/** What a smartctl document says of a drive. Pure, and never throws: what is missing is UNKNOWN or null, with the reason. */
import { int } from '#shared/int';
import { at, documentIn, type Json } from './document.ts';
import { percentageUsedOf, powerOnHoursOf, temperatureOf } from './figures.ts';
import { evidenceOfFailure, factsAgainst } from './findings.ts';
import { isStandby, reasonForSilence } from './silence.ts';

/** Names as on the wire and in `disks smart --json`. */
export interface SmartReading {
  /** FAILING on evidence, PASSED on the drive's own word; all else is UNKNOWN. */
  health: 'PASSED' | 'FAILING' | 'UNKNOWN';
  temperature_c: number | null;
  /** Of its expected life; above 100 where it outlives that. */
  percentage_used: number | null;
  power_on_hours: number | null;
  /** The drive slept and was not woken. */
  standby: boolean;
  /** Sentences: why it is failing or unknown, and what else somebody should know. Never empty unless PASSED. */
  reasons: string[];
}

const MOST_REASONS = 20;

const verdict = (document: Json, evidence: readonly string[]): SmartReading['health'] => {
  if (evidence.length > 0) return 'FAILING';
  return at(document, 'smart_status', 'passed') === true ? 'PASSED' : 'UNKNOWN';
};

/** @param document as `JSON.parse` gives it, of any shape */
export const smartReading = (document: Json): SmartReading => {
  const evidence = evidenceOfFailure(document);
  const health = verdict(document, evidence);
  const standby = isStandby(document);
  const why = health === 'UNKNOWN' || standby ? [reasonForSilence(document)] : [];
  return {
    health,
    temperature_c: int(temperatureOf(document)),
    percentage_used: int(percentageUsedOf(document)),
    power_on_hours: int(powerOnHoursOf(document)),
    standby,
    reasons: [...new Set([...evidence, ...why, ...factsAgainst(document)])].slice(0, MOST_REASONS),
  };
};

/** Of what smartctl wrote, whole or not. */
export const smartReadingIn = (text: string): SmartReading => smartReading(documentIn(text));

/** Whether the drive was asked and has said anything at all. */
export const tellsSomething = ({ health, temperature_c, percentage_used, power_on_hours }: SmartReading): boolean =>
  health !== 'UNKNOWN' || temperature_c !== null || percentage_used !== null || power_on_hours !== null;
