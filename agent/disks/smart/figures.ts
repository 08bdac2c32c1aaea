/** Temperature, age and wear of a drive, from wherever its kind keeps them. Pure. */
import { type Attribute, attributesOf } from './attributes.ts';
import { at, type Json, listAt, numberAt, textAt } from './document.ts';

const NVME_LOG = 'nvme_smart_health_information_log';

const first = (...values: (number | null)[]): number | null => values.find((value) => value !== null) ?? null;

const within = (value: number | null, least: number, most: number): number | null =>
  value !== null && value >= least && value <= most ? value : null;

const rawNamed = (attributes: readonly Attribute[], name: RegExp): number | null =>
  attributes.find((one) => name.test(one.name))?.raw ?? null;

/** Exactly 0 is what drives and bridges without a sensor answer, so it tells nothing. */
export const temperatureOf = (document: Json): number | null => {
  const told = first(
    numberAt(document, 'temperature', 'current'),
    numberAt(document, NVME_LOG, 'temperature'),
    rawNamed(attributesOf(document), /^(Temperature_Celsius|Airflow_Temperature_Cel)$/),
  );
  return told === 0 ? null : within(told, -60, 200);
};

export const powerOnHoursOf = (document: Json): number | null =>
  within(
    first(
      numberAt(document, 'power_on_time', 'hours'),
      numberAt(document, NVME_LOG, 'power_on_hours'),
      rawNamed(attributesOf(document), /^Power_On_Hours/),
    ),
    0,
    2 ** 32,
  );

/** Attributes of SSDs whose value is what is left of 100, most telling first. By name: the numbers mean other things elsewhere. */
const LEFT_OF_LIFE: readonly RegExp[] = [
  /^SSD_Life_Left/,
  /^(Percent_Lifetime_Remain|Remaining_Lifetime_Perc|Perc(ent)?_(Rated_)?Life(time)?_Used)/,
  /^Media_Wearout_Indicator/,
  /^(Wear_Leveling_Count|Wear_Leveling_Cycle_Ct|Ave_Block-Erase_Count|Average_Erase_Count|Avg_Block_Erase_Ct)/,
];

const wearOfAttributes = (document: Json): number | null => {
  // A spinning drive's attributes of these names would tell of something else.
  if ((numberAt(document, 'rotation_rate') ?? 0) > 0) return null;
  const attributes = attributesOf(document);
  const found = LEFT_OF_LIFE.flatMap((name) => attributes.filter((one) => name.test(one.name)));
  const left = found.map(({ value }) => within(value, 0, 100)).find((value) => value !== null);
  return left === undefined ? null : 100 - left;
};

/** ATA's own measure, ACS-4 9.5.8: a page of the device statistics log, which smartctl reads only when asked to. */
const wearOfStatistics = (document: Json): number | null => {
  const rows = listAt(document, 'ata_device_statistics', 'pages').flatMap((page) => listAt(page, 'table'));
  const row = rows.find((one) => /^Percentage Used Endurance Indicator$/i.test(textAt(one, 'name')));
  return at(row, 'flags', 'valid') === false ? null : numberAt(row, 'value');
};

/** 0 is new; drives that outlive what they were built for go on above 100, to 255. Null where the drive does not tell. */
export const percentageUsedOf = (document: Json): number | null =>
  within(
    first(
      numberAt(document, NVME_LOG, 'percentage_used'),
      numberAt(document, 'scsi_percentage_used_endurance_indicator'),
      wearOfStatistics(document),
      numberAt(document, 'endurance_used', 'current_percent'),
      wearOfAttributes(document),
    ),
    0,
    255,
  );
