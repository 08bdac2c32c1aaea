/** The schema's named formats: each entry throws nothing and answers what is wrong with a value, or nothing. */

import { PRIVILEGES } from '../access/roles.ts';
import { parseCalendarEvent } from '../calendar.ts';

type Format = (value: string) => string | undefined;

const matching =
  (pattern: RegExp, complaint: (value: string) => string): Format =>
  (value) =>
    pattern.test(value) ? undefined : complaint(value);

export const userIdProblem: Format = (value) => {
  if (value.length < 3) return `user name '${value}' is too short\n`;
  if (value.length > 64) return `user name '${value}' is too long (${value.length} > 64)\n`;
  return /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/.test(value)
    ? undefined
    : `value '${value}' does not look like a valid user name\n`;
};

const calendarEvent: Format = (value) =>
  parseCalendarEvent(value) ? undefined : `invalid calendar event '${value}' - unable to parse calendar event\n\n`;

const privilege: Format = (value) => (PRIVILEGES.includes(value) ? undefined : `invalid privilege '${value}'\n`);

const address = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/;
const dnsName = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/;

const CONTENT_TYPES = ['images', 'rootdir', 'vztmpl', 'iso', 'backup', 'snippets', 'import', 'none'];

const FORMATS: Record<string, Format> = {
  'pve-node': matching(/^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/, () => 'value does not look like a valid node name\n'),
  'pve-vmid': matching(/^[1-9][0-9]{2,8}$/, () => 'value does not look like a valid VM ID\n'),
  'pve-configid': matching(/^[a-z][a-z0-9_-]+$/i, (v) => `invalid configuration ID '${v}'\n`),
  'pve-storage-id': matching(/^[a-z][a-z0-9\-_.]*[a-z0-9]$/i, (v) => `storage ID '${v}' contains illegal characters\n`),
  'pve-volume-id': matching(/^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i, (v) => `unable to parse volume ID '${v}'\n`),
  'pve-userid': userIdProblem,
  'pve-groupid': matching(/^[A-Za-z0-9.\-_]+$/, (v) => `value '${v}' does not look like a valid group name\n`),
  'pve-roleid': matching(/^[A-Za-z0-9.\-_]+$/, (v) => `value '${v}' does not look like a valid role name\n`),
  'pve-poolid': matching(
    /^[A-Za-z0-9.\-_]+(?:\/[A-Za-z0-9.\-_]+){0,2}$/,
    (v) => `value '${v}' does not look like a valid pool name\n`,
  ),
  'pve-realm': matching(/^[A-Za-z][A-Za-z0-9.\-_]+$/, () => 'value does not look like a valid realm\n'),
  'pve-tokenid': matching(
    /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+$/,
    (v) => `value '${v}' does not look like a valid token ID\n`,
  ),
  'pve-priv': privilege,
  'pve-calendar-event': calendarEvent,
  'pve-iface': matching(/^[a-z][a-z0-9_]{1,20}(?:[:.]\d+)?$/i, (v) => `invalid network interface name '${v}'\n`),
  'pve-tag': matching(/^[a-z0-9_][a-z0-9_\-+.]*$/i, () => 'invalid characters in tag\n'),
  'pve-day-of-week': matching(/^(?:mon|tue|wed|thu|fri|sat|sun)$/, (v) => `invalid day '${v}'\n`),
  'pve-task-status-type': matching(/^(?:ok|warning|error|unknown)$/i, (v) => `invalid status '${v}'\n`),
  'pve-storage-content': (v) => (CONTENT_TYPES.includes(v) ? undefined : `invalid content type '${v}'\n`),
  'pve-storage-path': matching(/^\/[-/a-zA-Z0-9_.@]+$/, () => 'value does not look like a valid absolute path\n'),
  'mac-addr': matching(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i, () => 'value does not look like a valid MAC address\n'),
  'dns-name': matching(dnsName, () => 'value does not look like a valid DNS name\n'),
  ip: matching(address, () => 'value does not look like a valid IP address\n'),
  address: (v) => (address.test(v) || dnsName.test(v) ? undefined : 'value does not look like a valid address\n'),
  'email-opt': matching(/^$|^\S+@\S+$/, () => 'value does not look like a valid email address\n'),
  'email-or-username': matching(
    /^[\w+\-~]+(?:\.[\w+\-~]+)*(?:@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)?$/,
    () => 'value does not look like a valid email address or user name\n',
  ),
};

/** Lists split on commas, semicolons, white space and NUL. */
export const splitList = (value: string): string[] => value.split(/[\s,;\0]+/).filter((part) => part !== '');

/** What is wrong with a value of a named format; unknown names accept everything. */
export const formatProblem = (name: string, value: string): string | undefined => {
  const own = FORMATS[name];
  if (own) return own(value);
  const item = /^(.+)-list$/.exec(name)?.[1];
  const check = item === undefined ? undefined : FORMATS[item];
  if (!check) return undefined;
  for (const part of splitList(value)) {
    const problem = check(part);
    if (problem !== undefined) return problem;
  }
  return undefined;
};
