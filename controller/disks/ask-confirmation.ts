/** Says what would be erased, and has a person type which drive that is. */
import { sleep } from '#shared/clock';
import { inert } from '#shared/inert';
import { type Disk, listDisks } from '#shared/wire/disks';
import { isIdOf, questionsOf } from './confirm.ts';
import type { FlowPorts, Outcome } from './flow.ts';
import type { FormatAnswer } from './format-answer.ts';
import { hanging } from './lines.ts';
import { driveSize, holdsWords, modelOf, serialOf } from './words.ts';

type Refusal = Extract<FormatAnswer, { kind: 'confirm' }>;

const TRIES = 3;
const LOOKS = 3;
const BETWEEN_LOOKS_MS = 1000;

const rows = (disk: Disk, columns: number): string[] =>
  [
    ['drive', disk.name],
    ['model', modelOf(disk)],
    ['serial number', serialOf(disk)],
    ['size', driveSize(disk.total_bytes)],
    ...(disk.fstype === '' ? [] : [['holds', holdsWords(disk)]]),
  ].flatMap(([name = '', text = '']) => hanging(`  ${name.padEnd(15)}`, inert(text), columns));

const NOTHING = 'Nothing was erased.';

/** The drive as it is now, if it is the one that the agent's id was made of: a listing may be older than the refusal. */
const shownOf = async ({ agent, clock, signal }: FlowPorts, { device, durableId }: Refusal): Promise<Disk | null> => {
  for (let look = 1; look <= LOOKS; look += 1) {
    const { disks } = await agent.call(listDisks, { signal });
    const disk = disks.find(({ name, type, state }) => name === device && type === 'disk' && state !== 'unplugged');
    if (disk !== undefined && isIdOf(durableId, disk)) return disk;
    if (look < LOOKS) await sleep(clock, BETWEEN_LOOKS_MS, signal);
  }
  return null;
};

/** Every one of them typed whole; null where the person gave up. */
const allTyped = async ({ talk }: FlowPorts, disk: Disk): Promise<boolean | null> => {
  for (const { what, isIt } of questionsOf(disk)) {
    for (let left = TRIES; ; left -= 1) {
      const typed = (await talk.ask?.(`${what}: `)) ?? null;
      if (typed === null) return null;
      if (isIt(typed)) break;
      if (left === 1) return false;
      talk.tell('That is not what stands above. Type it as it stands there, or press Ctrl-C to leave the drive as it is.');
    }
  }
  return true;
};

/** @throws AgentError */
export const confirmErasing = async (ports: FlowPorts, refusal: Refusal): Promise<Outcome | 'confirmed'> => {
  const { talk } = ports;
  const disk = await shownOf(ports, refusal);
  if (disk === null) {
    talk.tell(`The drive was changed or exchanged while it was looked at. ${NOTHING} Ask again in a minute.`);
    return 'refused';
  }
  talk.answer(...rows(disk, talk.columns));
  talk.tell(`${refusal.sentence} What is erased cannot be brought back by anybody.`);
  if (talk.ask === null) {
    talk.tell(
      'Only a person at a terminal can confirm that. Run the same command in a terminal, where it asks. Nothing was erased.',
    );
    return 'needs-confirmation';
  }
  talk.tell('If this is the drive that you mean, type what stands above. Ctrl-C leaves the drive as it is.');
  const typed = await allTyped(ports, disk);
  if (typed === true) return 'confirmed';
  talk.tell(typed === null ? NOTHING : `That is not this drive. ${NOTHING}`);
  return 'needs-confirmation';
};
