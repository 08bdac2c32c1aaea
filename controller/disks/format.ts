/** `disks format`: has a drive erased and made anew, after a person has said that this is the one, or the operator has signed it. */
import { timestamp } from '#shared/ids';
import { type Disk, type FormatDisk, listDisks } from '#shared/wire/disks';
import { getJob } from '#shared/wire/jobs';
import { age, secondsBetween } from '../health/words.ts';
import { confirmErasing } from './ask-confirmation.ts';
import { carryGrant } from './ask-operator.ts';
import type { FlowPorts, Outcome } from './flow.ts';
import { followJob } from './follow.ts';
import { askFormat, type FormatAnswer } from './format-answer.ts';
import { findDisk } from './listing.ts';
import { settle } from './settle.ts';
import { tellFormatted, tellJob } from './tell-end.ts';
import { driveWords, typedName } from './words.ts';

export interface FormatWish {
  /** Name, durable id, serial number or label. */
  drive: string;
  fstype: string;
  /** The operator's line, where it is at hand already. */
  grant: string | null;
}

/** The drive does not answer in time, which may change while the agent goes on deciding. */
const isOpen = (answer: FormatAnswer): boolean =>
  answer.kind === 'unknown' || (answer.kind === 'refused' && answer.code === 'drive-not-answering');

const openWords = (answer: FormatAnswer): string =>
  answer.kind === 'unknown'
    ? `${answer.sentence} Whether the format has begun cannot be known from here. Asking the agent …`
    : answer.kind === 'refused' || answer.kind === 'confirm'
      ? `${answer.kind === 'confirm' ? 'The agent asks for a confirmation again.' : answer.sentence} Asking again …`
      : '';

export const sameAgain = (device: string, fstype: string): string =>
  `felhom-controller disks format ${typedName(device)} --fstype ${/^[a-z0-9]{1,32}$/.test(fstype) ? fstype : 'ext4'}`;

/** The agent tells whoever asks the same again within a day that it is done. So long that is taken for what was asked for just now. */
const RECENT_SECONDS = 600;
/** As long as a call takes. */
const NOW_SECONDS = 20;
/** In place of an id, which it is not: the agent joins nothing then, and confirms nothing. */
const ANEW = 'anew';

const ASKS_AGAIN =
  'The agent asks for a confirmation again: the format has not begun, or it has begun and did not come to its end.';

export const createFormat = (ports: FlowPorts) => {
  const { agent, talk, signal } = ports;

  /** Seconds since that job has ended, by the host's clock; null where it cannot be told. */
  const endedAgo = async (jobId: string): Promise<number | null> => {
    let now = Number.NaN;
    const onHostTime = (ms: number): void => {
      now = ms;
    };
    const job = await agent.call(getJob, { params: { id: jobId }, signal, onHostTime }).catch(() => null);
    return job === null || Number.isNaN(now) ? null : secondsBetween(job.finished_at, timestamp(now));
  };

  /** Formatted before, and used since for all that is known: who asks for it now means once more. */
  const wasBefore = async (answer: FormatAnswer, asked: Disk): Promise<boolean> => {
    if (answer.kind !== 'formatted') return false;
    const isConnected = asked.mount_path !== '';
    const seconds = await endedAgo(answer.reply.job_id);
    if (!isConnected && (seconds ?? 0) <= RECENT_SECONDS) {
      if ((seconds ?? 0) > NOW_SECONDS) talk.tell(`${asked.name} was formatted ${age(seconds)}; nothing was erased now.`);
      return false;
    }
    talk.tell(`${asked.name} was formatted before (${age(seconds)}), and nothing was erased now. Asking to erase it once more …`);
    return true;
  };

  const finish = async (answer: Extract<FormatAnswer, { kind: 'formatted' | 'running' }>, fstype: string): Promise<Outcome> => {
    if (answer.kind === 'formatted') return tellFormatted(ports, answer.reply.device, fstype);
    talk.tell('The format has begun on the host. This can take minutes on a large drive; leave it plugged in.');
    return tellJob(ports, await followJob(ports, answer.jobId));
  };

  const tellRefusal = (
    answer: Extract<FormatAnswer, { kind: 'refused' | 'unknown' }>,
    device: string,
    fstype: string,
  ): Outcome => {
    const isKnown = answer.kind === 'refused' && !isOpen(answer);
    talk.tell(answer.sentence);
    if (isKnown) return 'refused';
    talk.tell(
      signal.aborted
        ? 'You did not wait for the answer. Whether the format has begun cannot be known from here. Look at the drive, or ask the same again:'
        : 'Whether the format has begun cannot be known from here. Leave the drive plugged in, wait a minute, and ask the same again:',
    );
    talk.answer(sameAgain(device, fstype));
    return 'not-known';
  };

  /** Another id than the one that was confirmed, asked for at once: so it is certain that nothing was begun. */
  const notTaken = (answer: Extract<FormatAnswer, { kind: 'confirm' | 'operator' }>, fstype: string): Outcome => {
    talk.tell(
      `The agent did not take this confirmation: the drive was changed or exchanged since, or it took too long. ${answer.sentence} Look at the drive, then begin again:`,
    );
    talk.answer(sameAgain(answer.device, fstype));
    return answer.kind === 'confirm' ? 'needs-confirmation' : 'needs-operator';
  };

  /** Confirmed once only; what became of it is asked without confirming anything, and joins it. */
  const confirmed = async (body: FormatDisk & { durable_id: string }): Promise<Outcome> => {
    const { device, fstype } = body;
    const sent = await askFormat(ports, { ...body, confirmed: true });
    if (sent.kind === 'confirm' || sent.kind === 'operator') return notTaken(sent, fstype);
    const answer = await settle(ports, sent, {
      // Where it asks for a confirmation now, it may still be busy with the one that it was sent.
      isOpen: (one) => isOpen(one) || one.kind === 'confirm',
      again: () => askFormat(ports, body),
      words: openWords,
    });
    if (answer.kind === 'formatted' || answer.kind === 'running') return finish(answer, fstype);
    if (answer.kind === 'refused' || answer.kind === 'unknown') return tellRefusal(answer, device, fstype);
    // What was spoilt by a format that failed is to be confirmed anew, as what was never begun is.
    return tellRefusal({ kind: 'unknown', sentence: ASKS_AGAIN }, device, fstype);
  };

  const judged = async (answer: FormatAnswer, wish: FormatWish, asked: Disk): Promise<Outcome> => {
    const { fstype, grant } = wish;
    switch (answer.kind) {
      case 'formatted':
      case 'running':
        return finish(answer, fstype);
      case 'operator':
        return carryGrant(ports, answer, { grant, again: sameAgain(answer.device, fstype) });
      case 'confirm': {
        if (grant !== null) talk.tell('This drive needs no signature, so the one that you brought is not used.');
        const consent = await confirmErasing(ports, answer);
        if (consent !== 'confirmed') return consent;
        return confirmed({ device: answer.device, fstype, durable_id: answer.durableId });
      }
      case 'refused':
      case 'unknown':
        return tellRefusal(answer, asked.name, fstype);
    }
  };

  /** @throws AgentError where not even the drives can be listed */
  return async (wish: FormatWish): Promise<Outcome> => {
    const { disks } = await agent.call(listDisks, { signal });
    const found = findDisk(disks, wish.drive);
    if (!found.found) {
      talk.tell(found.sentence);
      return 'refused';
    }
    if (found.disk.state === 'unplugged') {
      talk.tell(`${driveWords(found.disk)} is not plugged in now. Plug it in, then ask again.`);
      return 'refused';
    }
    const ask = async (body: FormatDisk): Promise<FormatAnswer> => {
      const again = () => askFormat(ports, body);
      return settle(ports, await again(), { isOpen, again, words: openWords });
    };
    const body = { device: found.disk.name, fstype: wish.fstype };
    const answer = await ask(body);
    const isOld = await wasBefore(answer, found.disk);
    return judged(isOld ? await ask({ ...body, durable_id: ANEW }) : answer, wish, found.disk);
  };
};
