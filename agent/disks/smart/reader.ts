/** Reads one drive: learns what smartctl has to be told, and looks behind RAID controllers. Wakes nothing that can tell that it sleeps. */
import type { Guard, SmartAnswer, Smartctl, SmartTarget } from '../../ports/smartctl.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import { documentIn } from './document.ts';
import { hiddenBehind } from './hidden.ts';
import { type SmartReading, smartReading, smartReadingIn, tellsSomething } from './parse.ts';
import { cannotTellPower, isUnknownBridge } from './silence.ts';
import type { Watched } from './watched.ts';
import { worstOf } from './worst.ts';

/** What was learned is to be remembered with the drive. */
export interface Read extends Pick<Watched, 'type' | 'mute'> {
  outcome: { reading: SmartReading } | { silent: 'hung' | 'missing' | 'failed' };
}

/** Of what cannot spin a question whether it sleeps may go unanswered. */
const guardOf = ({ rotational, usb }: KernelDevice, mute: boolean): Guard => {
  if (mute) return 'never';
  return rotational === false && !usb ? 'lenient' : 'strict';
};

/**
 * An enclosure that smartctl does not know may be asked as most of them are. To every USB drive that is not removable udev sends such a
 * command anyhow (systemd, 60-persistent-storage.rules: ata_id); to others nobody does, and neither does the agent.
 */
const mayTrySat = ({ usb, removable }: KernelDevice): boolean => usb && !removable;

const answered = (answer: SmartAnswer): Read['outcome'] =>
  answer.said ? { reading: smartReadingIn(answer.text) } : { silent: answer.why };

const told = (outcome: Read['outcome']): boolean =>
  'reading' in outcome && (tellsSomething(outcome.reading) || outcome.reading.standby);

export const createReader = (smartctl: Smartctl) => {
  /** A drive that does not tell its power mode is asked after all, for this is the one time. */
  const ask = async (target: SmartTarget, device: KernelDevice, mute: boolean) => {
    const answer = await smartctl.read(target, guardOf(device, mute));
    if (mute || !answer.said || !cannotTellPower(documentIn(answer.text))) return { answer, mute };
    return { answer: await smartctl.read(target, 'never'), mute: true };
  };

  const asSat = async (path: string, device: KernelDevice, before: Read): Promise<Read> => {
    const { answer, mute } = await ask({ path, type: 'sat' }, device, before.mute);
    const outcome = answered(answer);
    return told(outcome) ? { type: 'sat', mute, outcome } : before;
  };

  const behindRaid = async (device: KernelDevice): Promise<SmartReading | null> => {
    const scan = await smartctl.scan();
    const drives: { name: string; reading: SmartReading }[] = [];
    for (const target of scan.said ? hiddenBehind(device, scan.text) : []) {
      const answer = await smartctl.read(target, 'strict');
      const reading = answer.said ? smartReadingIn(answer.text) : { ...smartReading({}), reasons: ['It did not answer.'] };
      drives.push({ name: `Drive ${target.type} behind the RAID controller`, reading });
    }
    return drives.length === 0 ? null : worstOf(drives);
  };

  /** Never rejects. To be called once at a time for a drive. */
  return async (device: KernelDevice, { type, mute: wasMute }: Pick<Watched, 'type' | 'mute'>): Promise<Read> => {
    const path = `/dev/${device.name}`;
    const { answer, mute } = await ask({ path, type }, device, wasMute);
    const read: Read = { type, mute, outcome: answered(answer) };
    if (!answer.said || told(read.outcome)) return read;
    if (isUnknownBridge(documentIn(answer.text))) return mayTrySat(device) ? asSat(path, device, read) : read;
    if (device.usb || !device.name.startsWith('sd')) return read;
    const hidden = await behindRaid(device);
    return hidden === null ? read : { ...read, outcome: { reading: hidden } };
  };
};
