/** Recorded smartctl documents, and the beginnings of written ones. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DIRECTORY = fileURLToPath(new URL('../../../../fixtures/drives/smart/', import.meta.url));

export const recordings = (): string[] => readdirSync(DIRECTORY).filter((name) => name !== 'README.md');

/** As it was saved: some with lines of a shell after it. */
export const recorded = (name: string): string => readFileSync(`${DIRECTORY}${name}`, 'utf8');

/** As a drive answers that sleeps (smartmontools 7.3, ataprint.cpp). */
export const ASLEEP = JSON.stringify({
  smartctl: { exit_status: 2, messages: [{ string: 'Device is in STANDBY mode, exit(2)', severity: 'information' }] },
  device: { name: '/dev/sda', type: 'sat', protocol: 'ATA' },
});

export const HEALTHY = JSON.stringify({
  smartctl: { exit_status: 0 },
  smart_status: { passed: true },
  temperature: { current: 31 },
  power_on_time: { hours: 5 },
});

export const FAILING = JSON.stringify({
  smartctl: { exit_status: 8 },
  smart_status: { passed: false },
  temperature: { current: 40 },
});

/** As of an enclosure that smartctl does not know. */
export const UNKNOWN_BRIDGE = recorded('vm-sdc.json');

/** With `-n standby,2,3` of a bridge that does not pass the question on (smartmontools 7.3, ataprint.cpp). */
export const NO_POWER_MODE = JSON.stringify({
  smartctl: { exit_status: 3, messages: [{ string: 'CHECK POWER MODE not implemented, exit(3)', severity: 'information' }] },
});
