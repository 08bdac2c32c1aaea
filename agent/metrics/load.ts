/** Load averages and uptime as /proc prints them, proc(5). Pure. */

const DECIMAL = /^\d+\.\d+$/;

/** One, five and fifteen minutes. */
export const parseLoadavg = (loadavg: string): [string, string, string] => {
  const [one, five, fifteen] = loadavg
    .trim()
    .split(/\s+/)
    .filter((word) => DECIMAL.test(word));
  if (one === undefined || five === undefined || fifteen === undefined) throw new Error('unreadable /proc/loadavg');
  return [one, five, fifteen];
};

export const parseUptimeSeconds = (uptime: string): number => {
  const [seconds = ''] = uptime.trim().split(/\s+/);
  if (!DECIMAL.test(seconds)) throw new Error('unreadable /proc/uptime');
  return Math.trunc(Number(seconds));
};
