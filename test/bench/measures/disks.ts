/** How long the list of drives takes, and that a drive which sleeps is not read for it. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { type Address, call } from '../../stranger/client.ts';
import { type Lab, type LabDrive, labMissing, withLab } from '../../system/drives/lab.ts';
import { ask, startChild } from '../children.ts';
import type { DriveAgentQuestion } from '../drive-agent.ts';
import { atMost, type Figure, quantile, summarise } from '../figure.ts';
import type { Measure } from '../measure.ts';
import type { Scope } from '../scope.ts';

/** Spread out, so that some questions meet a list that has grown too old to be given again. */
const PAUSE_MS = 50;

const startAgent = (scope: Scope, question: DriveAgentQuestion): Promise<Address> =>
  ask<DriveAgentQuestion, Address>(
    startChild(scope, 'drive-agent', ['--max-semi-space-size=1', '--max-old-space-size=64']),
    question,
  );

/** Milliseconds from the question to the last byte of its answer. */
const timed = (agent: Agent, { port, token }: Address): Promise<number> =>
  new Promise((resolve, reject) => {
    const before = performance.now();
    const sent = request({ host: '127.0.0.1', port, path: '/disks', agent, headers: { authorization: `Bearer ${token}` } });
    sent.once('error', reject);
    sent.once('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`/disks answered ${response.statusCode}`));
      response.resume().once('end', () => resolve(performance.now() - before));
    });
    sent.end();
  });

const listing = async (scope: Scope, drives: number, questions: number): Promise<Figure[]> => {
  const address = await startAgent(scope, { pretended: drives });
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  scope.defer(() => agent.destroy());
  const first = await timed(agent, address);
  const samples: number[] = [];
  while (samples.length < questions) {
    await pause(PAUSE_MS);
    samples.push(await timed(agent, address));
  }
  const summary = summarise(samples);
  const note = `${questions} questions, ${PAUSE_MS} ms between them; most are given the look of the last 5 s; the first one ${first.toFixed(0)} ms, the longest ${summary.max.toFixed(0)} ms; what the host's sources take is not in it`;
  const name = `GET /disks with ${drives} drives`;
  return [
    { name: `${name}, p50`, value: quantile(samples, 0.5), unit: 'ms', samples: summary },
    { name: `${name}, p99`, value: quantile(samples, 0.99), unit: 'ms', note, samples: summary },
  ];
};

/** Read requests that were completed. Documentation/block/stat.rst. */
const readsOf = ({ name }: LabDrive): number => Number(readFileSync(`/sys/block/${name}/stat`, 'utf8').trim().split(/\s+/)[0]);

const LOOKS = 10;

/** Whoever asks after a deed, even one that was refused, is answered with a new look. */
const readsFor = async (scope: Scope, lab: Lab, asleep: boolean): Promise<number> => {
  const drive = await lab.drive({ name: asleep ? 'asleep' : 'awake', mb: 32, serial: `BENCH-${asleep}` });
  await lab.mkfs(drive.device, 'ext4');
  const before = readsOf(drive);
  const address = await startAgent(scope, { real: { udev_dir: lab.udevDir, loop_drives: lab.loopDrives, asleep } });
  for (let look = 0; look < LOOKS; look += 1) {
    await call(address, 'POST', '/disks/eject', { where: '/nothing' });
    const { json } = await call(address, 'GET', '/disks');
    if (!json.data?.disks.some(({ name }: { name: string }) => name === drive.name)) throw new Error('the drive is not listed');
  }
  return readsOf(drive) - before;
};

const sleeping = (scope: Scope): Promise<Figure[]> =>
  withLab(async (lab) => {
    const asleep = await readsFor(scope, lab, true);
    const awake = await readsFor(scope, lab, false);
    const note = `${LOOKS} looks at a real loop device that the kernel calls asleep, by /sys/block/*/stat; one that is awake is read ${awake} times when it is new`;
    return [{ name: 'reads caused on a sleeping drive', value: asleep, unit: 'reads', budget: atMost(0), note }];
  });

export const disks: Measure = {
  name: 'disks',
  about: 'how long /disks takes with 4 and with 64 drives, and what it reads of one that sleeps',
  run: async ({ scope, quick, say }) => {
    const figures: Figure[] = [];
    for (const drives of [4, 64]) {
      say(`${drives} drives`);
      figures.push(...(await listing(scope, drives, quick ? 100 : 400)));
    }
    if (labMissing !== '') say(`no drive that sleeps: ${labMissing}`);
    else figures.push(...(await sleeping(scope)));
    return figures;
  },
};
