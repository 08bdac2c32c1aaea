/** Why a smartctl document says nothing of a drive's health: asleep, hidden, without SMART. Pure. */
import { at, exitOf, type Json, messagesOf, textAt } from './document.ts';

/** `Device is in STANDBY mode, exit(2)`; also SLEEP, `STANDBY (OS)`, `STANDBY BY COMMAND` … smartmontools, ataprint.cpp and scsiprint.cpp. */
const ASLEEP = /^(?:\S+: )?Device is in .+ mode, exit\(\d+\)/;

/** Nothing was asked of the drive but its power mode. */
export const isStandby = (document: Json): boolean =>
  messagesOf(document).some((message) => ASLEEP.test(message)) ||
  /^(STANDBY|SLEEP)/i.test(textAt(document, 'power_mode') || textAt(document, 'power_mode', 'name'));

/** smartctl would have to be told what is behind this USB bridge; it has asked nothing of the drive. */
export const isUnknownBridge = (document: Json): boolean =>
  messagesOf(document).some((message) => /Unknown USB bridge|Unsupported USB bridge/i.test(message));

/** The bridge or drive does not tell whether the drive sleeps, so that any question may wake it. */
export const cannotTellPower = (document: Json): boolean =>
  messagesOf(document).some((message) => /CHECK POWER MODE (not implemented|returned unknown value)/i.test(message));

const hidesDrives = (document: Json): boolean =>
  messagesOf(document).some((message) => /-d (megaraid|cciss|areca|3ware|aacraid|hpt|sssraid),/i.test(message));

/** What to do about a USB bridge that smartctl does not know. */
const BRIDGE =
  'smartctl does not know the USB enclosure, so the drive in it could not be asked. It may well answer to "smartctl -a -d sat".';

const said = (document: Json): string => {
  const [first] = messagesOf(document);
  return first === undefined ? '' : ` smartctl says: ${first}${/[.!?]$/.test(first) ? '' : '.'}`;
};

/** Without SMART as such. */
const unsupported = (document: Json): string | null => {
  if (at(document, 'smart_support', 'available') === false) return 'The drive has no SMART.';
  if (at(document, 'smart_support', 'enabled') === false)
    return 'SMART is switched off in the drive; "smartctl -s on" with its device switches it on.';
  return null;
};

/** Answers always: a reading without a verdict says why. */
export const reasonForSilence = (document: Json): string => {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return 'There is no answer of smartctl.';
  if (isStandby(document)) return 'The drive sleeps and was not woken.';
  if (cannotTellPower(document)) return 'The drive cannot tell whether it sleeps, so it was not asked: that could have woken it.';
  if (isUnknownBridge(document)) return BRIDGE;
  if (hidesDrives(document)) return `The drive is behind a RAID controller, which does not show it.${said(document)}`;
  const words = said(document);
  if (/Unable to detect device type/i.test(words))
    return `The drive has no SMART that smartctl can find, as virtual ones do not.${words}`;
  const without = unsupported(document);
  if (without !== null) return without;
  if ((exitOf(document) & 0b01) !== 0) return `smartctl could not ask the drive.${words}`;
  if ((exitOf(document) & 0b10) !== 0) return `The drive could not be opened or did not identify itself.${words}`;
  return `The drive did not say whether it is healthy.${words}`;
};
