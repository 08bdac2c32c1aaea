/** Proxmox calendar events: `[weekdays] [[year-]month-day] [[hour:]minute[:second]] [UTC]` (proxmox-time/src/calendar_event.rs). */

interface Part {
  from: number;
  to: number;
  step: number;
}

/** Empty list: every value. */
export interface CalendarEvent {
  /** 0 = Sunday. */
  weekdays: Set<number>;
  years: Part[];
  months: Part[];
  days: Part[];
  hours: Part[];
  minutes: Part[];
  seconds: Part[];
  utc: boolean;
}

const KEYWORDS: Record<string, string> = {
  minutely: '*:*:0',
  hourly: '*:0:0',
  daily: '0:0:0',
  weekly: 'mon 0:0:0',
  monthly: '*-*-1 0:0:0',
  quarterly: '*-1,4,7,10-1 0:0:0',
  semiannually: '*-1,7-1 0:0:0',
  'semi-annually': '*-1,7-1 0:0:0',
  yearly: '*-1-1 0:0:0',
  annually: '*-1-1 0:0:0',
};

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

class Unparsable extends Error {}

const fail = (): never => {
  throw new Unparsable();
};

const number = (text: string, min: number, max: number): number => {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : fail();
};

const component = (text: string, min: number, max: number): Part[] => {
  const parts = text.split(',').map((item): Part => {
    const [range = '', step, more] = item.split('/');
    if (more !== undefined) fail();
    const by = step === undefined ? 0 : number(step, 1, max);
    if (range === '*') return { from: min, to: max, step: by || 1 };
    const [from = '', to, third] = range.split('..');
    if (third !== undefined) fail();
    const low = number(from, min, max);
    if (to !== undefined) {
      const high = number(to, min, max);
      return high >= low ? { from: low, to: high, step: by || 1 } : fail();
    }
    return by ? { from: low, to: max, step: by } : { from: low, to: low, step: 1 };
  });
  return parts.some((p) => p.from === min && p.to === max && p.step === 1) ? [] : parts;
};

const weekday = (name: string): number => {
  const found = DAYS.findIndex((day) => day === name || day.slice(0, 3) === name);
  return found >= 0 ? found : fail();
};

const weekdays = (text: string): Set<number> => {
  const set = new Set<number>();
  for (const item of text.toLowerCase().split(',')) {
    const [from = '', to] = item.split('..');
    const last = weekday(to ?? from);
    // Ranges may wrap: sat..tue.
    for (let day = weekday(from); ; day = (day + 1) % 7) {
      set.add(day);
      if (day === last) break;
    }
  }
  return set;
};

const parse = (text: string): CalendarEvent => {
  const words = text.trim().split(/\s+/);
  const utc = words.length > 1 && words.at(-1) === 'UTC';
  if (utc) words.pop();
  const keyword = words.length === 1 ? KEYWORDS[words[0] ?? ''] : undefined;
  const rest = keyword === undefined ? words : keyword.split(' ');
  const event: CalendarEvent = {
    weekdays: new Set(),
    years: [],
    months: [],
    days: [],
    hours: component('0', 0, 23),
    minutes: component('0', 0, 59),
    seconds: component('0', 0, 59),
    utc,
  };
  if (rest.length === 0 || rest[0] === '') fail();
  if (/^[a-z]/i.test(rest[0] ?? '')) event.weekdays = weekdays(rest.shift() ?? '');
  if (rest[0]?.includes('-')) {
    const fields = (rest.shift() ?? '').split('-');
    if (fields.length > 3 || fields.length < 2) fail();
    event.days = component(fields.pop() ?? '', 1, 31);
    event.months = component(fields.pop() ?? '', 1, 12);
    event.years = fields.length ? component(fields[0] ?? '', 1970, 2199) : [];
  }
  const time = rest.shift();
  if (time !== undefined) {
    const fields = time.split(':');
    if (fields.length > 3) fail();
    // One number alone is minutes, of every hour.
    if (fields.length === 1) fields.unshift('*');
    event.hours = component(fields[0] ?? '', 0, 23);
    event.minutes = component(fields[1] ?? '', 0, 59);
    event.seconds = fields[2] === undefined ? component('0', 0, 59) : component(fields[2], 0, 59);
  }
  return rest.length === 0 ? event : fail();
};

export const parseCalendarEvent = (text: string): CalendarEvent | undefined => {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof Unparsable) return undefined;
    throw error;
  }
};

const fits = (parts: Part[], value: number): boolean =>
  parts.length === 0 || parts.some((p) => value >= p.from && value <= p.to && (value - p.from) % p.step === 0);

const fields = (at: number, utc: boolean) => {
  const d = new Date(at * 1000);
  return utc
    ? {
        y: d.getUTCFullYear(),
        mo: d.getUTCMonth(),
        d: d.getUTCDate(),
        wd: d.getUTCDay(),
        h: d.getUTCHours(),
        mi: d.getUTCMinutes(),
        s: d.getUTCSeconds(),
      }
    : {
        y: d.getFullYear(),
        mo: d.getMonth(),
        d: d.getDate(),
        wd: d.getDay(),
        h: d.getHours(),
        mi: d.getMinutes(),
        s: d.getSeconds(),
      };
};

const start = (utc: boolean, y: number, mo: number, d = 1, h = 0): number =>
  (utc ? Date.UTC(y, mo, d, h) : new Date(y, mo, d, h).getTime()) / 1000;

/** The first moment after `last` (seconds since 1970), in local time unless the event says UTC; the search gives up after 1000 steps. */
export const nextEvent = (event: CalendarEvent, last: number): number | undefined => {
  let at = Math.floor(last) + 1;
  for (let step = 0; step < 1000; step++) {
    const f = fields(at, event.utc);
    if (!fits(event.years, f.y)) {
      if (f.y >= 2199) return undefined;
      at = start(event.utc, f.y + 1, 0);
    } else if (!fits(event.months, f.mo + 1)) at = start(event.utc, f.y, f.mo + 1);
    else if (!fits(event.days, f.d) || (event.weekdays.size > 0 && !event.weekdays.has(f.wd)))
      at = start(event.utc, f.y, f.mo, f.d + 1);
    else if (!fits(event.hours, f.h)) at = start(event.utc, f.y, f.mo, f.d, f.h + 1);
    else if (!fits(event.minutes, f.mi)) at += 60 - f.s;
    else if (!fits(event.seconds, f.s)) at += 1;
    else return at;
  }
  return undefined;
};
