/** The processor's temperature from hwmon sensors, chosen by the chip's name: numbers change at every boot. Pure. */
import type { Chip } from '../ports/sysfs.ts';

/** Sensors that mean the processor, best first; of the first label that a chip has, the hottest counts. */
const CHIPS: Readonly<Record<string, readonly RegExp[]>> = {
  coretemp: [/^Package id \d+$/, /^Core \d+$/],
  k10temp: [/^Tdie$/, /^Tctl$/, /^$/],
  zenpower: [/^Tdie$/, /^Tctl$/],
  k8temp: [/^/],
  via_cputemp: [/^/],
  cpu_thermal: [/^/],
  soc_thermal: [/^/],
};

/** acpitz shows a constant on many boards; reading drivetemp or nvme is a command to the drive. They are not in the table. */
export const isProcessorChip = (name: string): boolean => Object.hasOwn(CHIPS, name);

/** Outside of this a sensor is not connected, or is broken. */
const plausible = (celsius: number): boolean => celsius >= 1 && celsius <= 120;

const ofChip = ({ name, temperatures }: Chip): number[] => {
  const celsius = (label: RegExp) =>
    temperatures
      .filter((sensor) => label.test(sensor.label))
      .map(({ millidegrees }) => millidegrees / 1000)
      .filter(plausible);
  return (CHIPS[name] ?? []).map(celsius).find((found) => found.length > 0) ?? [];
};

/** Degrees Celsius of the hottest socket; null where no sensor tells. */
export const hottest = (chips: readonly Chip[]): number | null => {
  const found = chips.flatMap(ofChip);
  return found.length === 0 ? null : Math.max(...found);
};
