/** What differs between two servers in the same state: measured values, times, secrets; everything else must be equal. */

import { isObject, type Json } from './exchange.ts';

/** Measured or counted by the machine. */
const MEASURED =
  'cpu mem memhost disk used avail used_fraction uptime pid pstart netin netout diskread diskwrite swap size free available loadavg arcsize iowait memused memavailable memtotal roottotal rootused swaptotal swapused level-time wait idle'.split(
    ' ',
  );

/** Times. */
const TIMES = 'time localtime starttime endtime ctime snaptime next-run notafter notbefore timestamp utc'.split(' ');

/** Made by chance, or of the machine's making. */
const MADE =
  'digest fingerprint ssl_fingerprint pem ticket CSRFPreventionToken value serverid smbios1 vmgenid meta uid timezone kversion version release sysname machine pveversion flags model mhz vendor family user_hz hvm dns1'.split(
    ' ',
  );

/** Objects whose every number is measured. */
const MEASURED_OBJECTS = /\.(?:memory|rootfs|swap|cpuinfo|current-kernel)\.[^.]+$/;

/** Of the node and its file systems only: of guests they are configuration. */
const SIZES = /\.(?:total|maxmem|maxdisk|maxcpu)$/;
const OF_MACHINE = /(?:\[node\/|\[storage\/|\.total$)/;

const VOLATILE = new Set([...MEASURED, ...TIMES, ...MADE]);

/** Whose version numbers are the server's own, and so must be equal. */
const EXACT = /^body\.data\.(?:version|release|repoid)$/;

export const isVolatile = (key: string, at: string): boolean => {
  if (EXACT.test(at)) return false;
  if (key.startsWith('pressure')) return true;
  if (VOLATILE.has(key) || MEASURED_OBJECTS.test(at)) return true;
  // The cluster log counts its entries, and tells what happened when.
  if (/^body\.data\[\]\.(?:id|msg|user)$/.test(at)) return true;
  return SIZES.test(at) && OF_MACHINE.test(at);
};

/** Comma lists in random order. */
export const COMMA_LISTS = new Set(['content', 'privs', 'groups', 'prune-backups', 'users', 'vmid']);

/** What names an item of a list. */
const NAMES = [
  'upid',
  'volid',
  'id',
  'userid',
  'tokenid',
  'storage',
  'vmid',
  'roleid',
  'groupid',
  'poolid',
  'realm',
  'subdir',
  'devpath',
  'key',
  'filename',
  'n',
  'name',
  'Package',
  'method',
  'type',
];

export const identityOf = (item: Json): string | undefined => {
  if (!isObject(item)) return undefined;
  if (typeof item.path === 'string' && typeof item.ugid === 'string') return `${item.path} ${item.ugid} ${String(item.roleid)}`;
  // Rows of measurements and entries of the cluster log are told apart by nothing but chance.
  if ('time' in item) return undefined;
  const name = NAMES.find((key) => item[key] !== undefined && item[key] !== null);
  return name === undefined ? undefined : String(item[name]);
};

/** A log line without times, sizes, rates, process ids, and with the options of a job in order. */
export const normalText = (line: string): string => {
  const job = /^(INFO: starting new backup job: vzdump )(.*)$/.exec(line);
  if (job)
    return `${job[1]}${(job[2] ?? '')
      .split(/ (?=--)/)
      .sort()
      .join(' ')}`;
  return line
    .replace(/\d{4}[-_]\d\d[-_]\d\d[-_ T]\d\d[:_]\d\d[:_]\d\d/g, 'DATE')
    .replace(/vzdumptmp\d+/g, 'vzdumptmpPID')
    .replace(/\/proc\/\d+\//g, '/proc/PID/')
    .replace(/\b\d+(?:\.\d+)?(?: ?[KMGT]i?B(?:\/s)?|[KMGT]\b| bytes)/g, 'SIZE')
    .replace(/: \d+ \(SIZE, SIZE\)/, ': SIZE')
    .replace(/\(\d\d:\d\d:\d\d\)/, '(DURATION)')
    .replace(/in \d+s$/, 'in SECONDS')
    .replace(/after <?\d+ seconds?/, 'after SECONDS');
};
