/** `disks assign`: has a drive connected to this guest, under a name. */
import { inert } from '#shared/inert';
import { type AssignDisk, type AssignedDisk, assignDisk, type Disk, listDisks } from '#shared/wire/disks';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { FlowPorts, Outcome } from './flow.ts';
import { findDisk, mountRootOf, PLACE_NAME, PLACE_RULE, partsOf } from './listing.ts';
import { settle } from './settle.ts';
import { driveWords, holdsWords, nextStep, typedName } from './words.ts';

export interface AssignWish {
  /** Name, durable id, UUID, serial number or label. */
  drive: string;
  name: string;
  readOnly: boolean;
}

type Answer =
  | { kind: 'connected'; reply: AssignedDisk }
  | { kind: 'refused'; code: string; sentence: string }
  | { kind: 'unknown'; sentence: string };

const UUID = 'uuid:';

const ask = async ({ agent, signal }: FlowPorts, body: AssignDisk): Promise<Answer> => {
  try {
    return { kind: 'connected', reply: await agent.call(assignDisk, { body, signal }) };
  } catch (error) {
    if (error instanceof AgentError && !isUnknownOutcome(error))
      return { kind: 'refused', code: error.code, sentence: error.message };
    return { kind: 'unknown', sentence: sentenceOf(error) };
  }
};

/** Asking for what is done already does no harm, and tells that it is done. */
const isOpen = (answer: Answer): boolean =>
  answer.kind === 'unknown' || (answer.kind === 'refused' && answer.code === 'drive-not-answering');

const partLine = (part: Disk): string => `  ${driveWords(part)}, ${holdsWords(part)}`;

export const createAssign = (ports: FlowPorts) => {
  const { agent, talk, signal } = ports;

  const refuse = (sentence: string): Outcome => {
    talk.tell(sentence);
    return 'refused';
  };

  /** Null, with the reason told: it has no file system that could be connected by itself. */
  const filesystemOf = (disks: readonly Disk[], disk: Disk): string | null => {
    if (disk.durable_id.startsWith(UUID)) return disk.durable_id.slice(UUID.length);
    const parts = partsOf(disks, disk);
    if (parts.length > 0) {
      talk.tell(`${driveWords(disk)} holds several file systems. Say which:`);
      talk.answer(...parts.map(partLine));
      return null;
    }
    talk.tell(`${driveWords(disk)} cannot be connected. ${disk.not_assignable}`);
    const next = nextStep(disk, false);
    if (next !== '') talk.tell(`Next: ${next}`);
    return null;
  };

  const tellConnected = ({ guest_path, where, note }: AssignedDisk, disk: Disk, { name, readOnly }: AssignWish): Outcome => {
    const place = guest_path === '' ? `connected on the server (${inert(where)})` : `connected at ${inert(guest_path)}`;
    talk.answer(`${driveWords(disk)} is ${place}${readOnly ? ', to be read only' : ''}.`);
    if (note !== '') talk.tell(note);
    talk.tell('It comes back by itself after a restart, or when it was unplugged. It is in no backup. Before you pull it out:');
    talk.answer(`felhom-controller disks eject ${name}`);
    return 'done';
  };

  const tellFailure = (answer: Exclude<Answer, { kind: 'connected' }>, disk: Disk, { name, readOnly }: AssignWish): Outcome => {
    talk.tell(answer.sentence);
    if (!isOpen(answer)) return 'refused';
    talk.tell(
      'Whether the drive is connected cannot be known from here. Leave it plugged in, wait a minute, and ask the same again:',
    );
    talk.answer(`felhom-controller disks assign ${typedName(disk.name)} --name ${name}${readOnly ? ' --read-only' : ''}`);
    return 'not-known';
  };

  /** @throws AgentError where not even the drives can be listed */
  return async (wish: AssignWish): Promise<Outcome> => {
    if (!PLACE_NAME.test(wish.name)) return refuse(`"${wish.name}" cannot be its name. ${PLACE_RULE} Nothing was changed.`);
    const listing = await agent.call(listDisks, { signal });
    const found = findDisk(listing.disks, wish.drive);
    if (!found.found) return refuse(found.sentence);
    const { disk } = found;
    const uuid = filesystemOf(listing.disks, disk);
    if (uuid === null) return 'refused';
    const where = `${mountRootOf(listing)}/${wish.name}`;
    const body = { uuid, where, fstype: disk.fstype, options: wish.readOnly ? 'ro' : '' };
    const again = () => ask(ports, body);
    const answer = await settle(ports, await again(), {
      isOpen,
      again,
      words: (one) => (one.kind === 'connected' ? '' : `${one.sentence} Asking again …`),
    });
    return answer.kind === 'connected' ? tellConnected(answer.reply, disk, wish) : tellFailure(answer, disk, wish);
  };
};
