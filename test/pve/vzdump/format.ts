/** How vzdump writes sizes, times and durations (PVE/VZDump.pm, PVE/Format.pm, `tar --totals`, rsync). */

const two = (n: number): string => String(n).padStart(2, '0');

/** Local time, the parts that every stamp here is made of. */
const parts = (ms: number) => {
  const d = new Date(ms);
  return {
    date: [d.getFullYear(), two(d.getMonth() + 1), two(d.getDate())] as const,
    time: [two(d.getHours()), two(d.getMinutes()), two(d.getSeconds())] as const,
  };
};

/** `2026-11-21 23:15:01` */
export const stamp = (ms: number): string => `${parts(ms).date.join('-')} ${parts(ms).time.join(':')}`;

/** `2026_11_21-23_15_01`, as in archive names. */
export const nameStamp = (ms: number): string => `${parts(ms).date.join('_')}-${parts(ms).time.join('_')}`;

/** `2026-11-21T23:15:01Z`, as in the names of PBS snapshots. */
export const utcStamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** `00:00:14` */
export const hms = (seconds: number): string =>
  `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;

/** `1m 25s` */
export const duration = (seconds: number): string => {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return [h > 0 ? `${h}h` : '', h + m > 0 ? `${m}m` : '', `${s}s`].filter((p) => p !== '').join(' ');
};

/** `archive file size`: whole KB and MB, two digits above. */
export const fileSize = (bytes: number): string => {
  const kb = bytes / 1024;
  if (kb < 1024) return `${Math.floor(kb)}KB`;
  if (kb < 1024 ** 2) return `${Math.floor(kb / 1024)}MB`;
  return kb < 1024 ** 3 ? `${(kb / 1024 ** 2).toFixed(2)}GB` : `${(kb / 1024 ** 3).toFixed(2)}TB`;
};

/** QEMU's lines: `1.0 GiB`. */
export const binarySize = (bytes: number, digits = 2): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : digits)} ${units[power]}`;
};

/** `tar --totals`: rounded up, one digit below ten: `4.9MiB`, `14MiB`. */
export const tarSize = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power > 0 && value < 10 ? (Math.ceil(value * 10) / 10).toFixed(1) : Math.ceil(value)}${units[power]}`;
};

/** rsync: units of a thousand: `4.98M`. */
export const rsyncSize = (bytes: number): string => {
  const units = ['', 'K', 'M', 'G', 'T'];
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return power === 0 ? String(bytes) : `${(bytes / 1000 ** power).toFixed(2)}${units[power]}`;
};

/** A size in a guest's configuration, `32G`, in bytes. */
export const configSizeBytes = (text: string): number => {
  const found = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text);
  return found ? Number(found[1]) * 1024 ** ' KMGT'.indexOf(found[2] || ' ') : 0;
};
