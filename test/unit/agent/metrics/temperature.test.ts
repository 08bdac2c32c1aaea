import { expect, test } from 'vitest';
import { hottest, isProcessorChip } from '#agent/metrics/temperature';
import { createSysfs } from '#agent/ports/sysfs';
import { makeTree, type Tree } from '../ports/tree.ts';

interface Chip {
  name: string;
  /** Label, then millidegrees; a label that begins with `-` has no file. */
  sensors: [label: string, value: string][];
}

const files = (chips: readonly Chip[]): Tree =>
  Object.fromEntries(
    chips.flatMap(({ name, sensors }, chip) => [
      [`class/hwmon/hwmon${chip}/name`, `${name}\n`],
      ...sensors.flatMap(([label, value], at) => [
        [`class/hwmon/hwmon${chip}/temp${at + 1}_input`, `${value}\n`],
        ...(label.startsWith('-') ? [] : [[`class/hwmon/hwmon${chip}/temp${at + 1}_label`, `${label}\n`]]),
      ]),
    ]),
  );

const BOARDS: [board: string, chips: Chip[], celsius: number | null][] = [
  [
    'Intel, one socket: the package, not the hottest core, nor the board',
    [
      { name: 'acpitz', sensors: [['-', '27800']] },
      {
        name: 'coretemp',
        sensors: [
          ['Package id 0', '47000'],
          ['Core 0', '45000'],
          ['Core 1', '61000'],
        ],
      },
    ],
    47,
  ],
  [
    'Intel, two sockets: the hotter',
    [
      {
        name: 'coretemp',
        sensors: [
          ['Package id 0', '47000'],
          ['Core 0', '44000'],
        ],
      },
      {
        name: 'coretemp',
        sensors: [
          ['Package id 1', '58000'],
          ['Core 0', '55000'],
        ],
      },
    ],
    58,
  ],
  [
    'Intel Atom: cores only',
    [
      {
        name: 'coretemp',
        sensors: [
          ['Core 0', '33000'],
          ['Core 1', '35000'],
        ],
      },
    ],
    35,
  ],
  [
    'AMD with Tdie: not Tctl, which may lie 27 degrees above',
    [
      {
        name: 'k10temp',
        sensors: [
          ['Tctl', '77000'],
          ['Tdie', '50000'],
          ['Tccd1', '61000'],
        ],
      },
    ],
    50,
  ],
  [
    'AMD with Tctl only',
    [
      {
        name: 'k10temp',
        sensors: [
          ['Tctl', '52875'],
          ['Tccd1', '61000'],
        ],
      },
    ],
    52.875,
  ],
  ['AMD of old, unlabelled', [{ name: 'k10temp', sensors: [['-', '41000']] }], 41],
  [
    'AMD with zenpower',
    [
      {
        name: 'zenpower',
        sensors: [
          ['Tdie', '44000'],
          ['Tctl', '44000'],
        ],
      },
    ],
    44,
  ],
  [
    'Raspberry Pi',
    [
      { name: 'rpi_volt', sensors: [] },
      { name: 'cpu_thermal', sensors: [['-', '48312']] },
    ],
    48.312,
  ],
  ['acpitz only: a constant on many boards', [{ name: 'acpitz', sensors: [['-', '27800']] }], null],
  ['nvme only', [{ name: 'nvme', sensors: [['Composite', '38850']] }], null],
  ['a drive only', [{ name: 'drivetemp', sensors: [['-', '31000']] }], null],
  [
    'not connected, cold, burning, garbage',
    [
      {
        name: 'coretemp',
        sensors: [
          ['Package id 0', '-273000'],
          ['Package id 1', '0'],
          ['Package id 2', '255000'],
          ['Package id 3', 'garbage'],
        ],
      },
    ],
    null,
  ],
  [
    'nonsense beside a good one',
    [
      {
        name: 'coretemp',
        sensors: [
          ['Package id 0', '128000'],
          ['Package id 1', '40000'],
        ],
      },
    ],
    40,
  ],
  ['a named chip without sensors', [{ name: 'coretemp', sensors: [] }], null],
  ['nothing', [], null],
];

test.each(BOARDS)('%s', async (_board, chips, celsius) => {
  const sys = await makeTree(files(chips));
  expect(hottest(await createSysfs({ sys }).hwmon(isProcessorChip))).toBe(celsius);
});

test.each(['acpitz', 'drivetemp', 'nvme', 'pch_cannonlake', 'iwlwifi_1', 'constructor', '__proto__', ''])(
  '%j is no processor',
  (name) => expect(isProcessorChip(name)).toBe(false),
);
