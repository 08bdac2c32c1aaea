/** What a smartctl document says against a drive: evidence that it is failing, and facts that somebody should know. Pure. */
import { type Attribute, attributesOf, countOf } from './attributes.ts';
import { at, exitOf, type Json, numberAt, textAt } from './document.ts';
import { percentageUsedOf, temperatureOf } from './figures.ts';

/** Bits of the exit status, smartctl(8), EXIT STATUS. 6 and 7 tell of logs that go back to the drive's first day. */
const EXIT = { failing: 1 << 3, prefailNow: 1 << 4, past: 1 << 5, errorLog: 1 << 6, selfTests: 1 << 7 } as const;

/** The critical warning byte of NVMe: bit, smartctl's name for it, and the sentence. NVM Express 1.4, figure 194. */
const NVME_WARNINGS: readonly (readonly [bit: number, name: string, sentence: string])[] = [
  [0, 'spare_below_threshold', 'Its spare blocks are nearly used up.'],
  [1, 'temperature_above_or_below_threshold', 'Its temperature is outside of its limits.'],
  [2, 'reliability_degraded', 'It reports that its reliability is degraded by errors.'],
  [3, 'media_read_only', 'It has gone read-only.'],
  [4, 'volatile_memory_backup_failed', 'What protects its cache against a power cut has failed.'],
  [5, 'persistent_memory_region_unreliable', 'Its persistent memory region has become unreliable.'],
];

const nvmeWarnings = (document: Json): string[] => {
  const byte = numberAt(document, 'nvme_smart_health_information_log', 'critical_warning') ?? 0;
  const known = NVME_WARNINGS.filter(
    ([bit, name]) => (byte & (1 << bit)) !== 0 || at(document, 'smart_status', 'nvme', name) === true,
  );
  if (known.length > 0) return known.map(([, , sentence]) => sentence);
  return byte === 0 ? [] : [`It gives critical warning ${byte}.`];
};

const limit = ({ name, value, threshold }: Attribute): string =>
  `${name} is at ${value ?? '?'}, the limit is ${threshold ?? '?'}`;

const failedAttributes = (document: Json): string[] =>
  attributesOf(document)
    .filter(({ failed, prefail }) => failed === 'now' && prefail)
    .map((one) => `An attribute that foretells failure has reached its limit: ${limit(one)}.`);

const statedFailure = (document: Json): string[] => {
  const words = textAt(document, 'smart_status', 'scsi', 'ie_string');
  const stated = at(document, 'smart_status', 'passed') === false || (exitOf(document) & EXIT.failing) !== 0;
  return stated ? [`The drive itself reports that it is failing${words === '' ? '' : ` (${words})`}.`] : [];
};

/** Any of these makes it FAILING; without one of them nothing does. */
export const evidenceOfFailure = (document: Json): string[] => {
  const attributes = failedAttributes(document);
  const bit = (exitOf(document) & EXIT.prefailNow) !== 0 && attributes.length === 0;
  return [
    ...statedFailure(document),
    ...nvmeWarnings(document),
    ...attributes,
    ...(bit ? ['smartctl found an attribute that foretells failure at its limit.'] : []),
  ];
};

const counted = (count: number | null, one: string, many: string): string[] =>
  count === null || count <= 0 ? [] : [count === 1 ? `1 ${one}` : `${count} ${many}`];

/** By name, since drives give numbers to other things. */
const sectors = (attributes: readonly Attribute[]): string[] => [
  ...counted(
    countOf(attributes, /^(Reallocated_Sector_Ct|Retired_Block_Count|Reallocate_NAND_Blk_Cnt|Bad_Block_Count)$/),
    'sector went bad and was replaced by a spare one.',
    'sectors went bad and were replaced by spare ones.',
  ),
  ...counted(
    countOf(attributes, /^(Current_Pending_(Sector|Sector_Count|ECC_Cnt)|Total_Pending_Sectors)$/),
    'sector could not be read and waits to be replaced.',
    'sectors could not be read and wait to be replaced.',
  ),
  ...counted(
    countOf(attributes, /^(Offline_Uncorrectable|Total_Offl_Uncorrectabl)$/),
    "sector could not be corrected by the drive's own scan.",
    "sectors could not be corrected by the drive's own scan.",
  ),
  ...counted(
    countOf(attributes, /^(Reported_Uncorrect|Uncorrectable_Error_Cnt|Reported_UE_Counts)$/),
    'error could not be corrected.',
    'errors could not be corrected.',
  ),
];

const aged = (attributes: readonly Attribute[]): string[] => [
  ...attributes
    .filter(({ failed, prefail }) => failed === 'now' && !prefail)
    .map((one) => `An attribute of age has reached its limit: ${limit(one)}.`),
  ...attributes.filter(({ failed }) => failed === 'past').map(({ name }) => `${name} was at its limit once.`),
];

const nvmeFacts = (document: Json): string[] => {
  const log = at(document, 'nvme_smart_health_information_log');
  const spare = numberAt(log, 'available_spare');
  const least = numberAt(log, 'available_spare_threshold');
  return [
    ...counted(
      numberAt(log, 'media_errors'),
      'error of its medium was not corrected.',
      'errors of its medium were not corrected.',
    ),
    ...(spare !== null && least !== null && spare < least
      ? [`${spare} % of its spare blocks are left, ${least} % should be.`]
      : []),
  ];
};

const scsiFacts = (document: Json): string[] => {
  const uncorrected = ['read', 'write', 'verify'].map(
    (kind) => numberAt(document, 'scsi_error_counter_log', kind, 'total_uncorrected_errors') ?? 0,
  );
  return [
    ...counted(
      numberAt(document, 'scsi_grown_defect_list'),
      'sector went bad and was replaced by a spare one.',
      'sectors went bad and were replaced by spare ones.',
    ),
    ...counted(
      uncorrected.reduce((sum, one) => sum + one, 0),
      'error could not be corrected.',
      'errors could not be corrected.',
    ),
  ];
};

/** The drive's own limits; a trip point of 0 means that it has none. */
const heat = (document: Json): string[] => {
  const now = temperatureOf(document);
  const most = ['drive_trip', 'op_limit_max', 'limit_max']
    .map((name) => numberAt(document, 'temperature', name))
    .find((one) => one !== null && one > 0);
  return now !== null && most !== undefined && most !== null && now >= most
    ? [`It is ${now} °C hot, its limit is ${most} °C.`]
    : [];
};

const wear = (document: Json): string[] => {
  const used = percentageUsedOf(document);
  return used !== null && used >= 100 ? [`It has written all that it was built for (${used} % used).`] : [];
};

const logs = (document: Json): string[] => [
  ...((exitOf(document) & EXIT.errorLog) === 0 ? [] : ["The drive's error log has entries."]),
  ...((exitOf(document) & EXIT.selfTests) === 0 ? [] : ['A self-test of the drive has failed.']),
];

/** None of these makes a drive FAILING. */
export const factsAgainst = (document: Json): string[] => {
  const attributes = attributesOf(document);
  const age = aged(attributes);
  const past =
    (exitOf(document) & EXIT.past) !== 0 && age.length === 0 ? ['An attribute of the drive was at its limit once.'] : [];
  return [
    ...sectors(attributes),
    ...nvmeFacts(document),
    ...scsiFacts(document),
    ...wear(document),
    ...heat(document),
    ...age,
    ...past,
    ...logs(document),
  ];
};
